//! From any layout of the span schema to that of one block: attributes move between lists and columns of their own.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanBuilder, Float64Builder, Int64Builder, RecordBatch, StringDictionaryBuilder,
    new_null_array,
};
use arrow::compute::cast;
use arrow::datatypes::{Field, Int32Type, SchemaRef};
use vivace_model::schema::{AttributeColumn, AttributeScope, ValueType};

use super::BlockError;
use crate::columns::{AttributeList, AttributeValues, AttributesBuilder, ValueRef, list_column};

/// The batch's rows in the layout of `target`, the schema of a block in which `columns` have columns of their own.
pub(super) fn conform(
    spans: &RecordBatch,
    columns: &[AttributeColumn],
    target: &SchemaRef,
) -> Result<RecordBatch, BlockError> {
    if spans.schema_ref() == target {
        return Ok(spans.clone());
    }
    let mut moved: HashMap<String, ArrayRef> = HashMap::new();
    for scope in AttributeScope::ALL {
        moved.extend(move_attributes(spans, scope, columns)?);
    }
    let array = |field: &Arc<Field>| match moved.remove(field.name()) {
        Some(array) => Ok(array),
        None => match spans.column_by_name(field.name()) {
            Some(array) if array.data_type() == field.data_type() => Ok(Arc::clone(array)),
            Some(array) => cast(array, field.data_type()),
            None => Ok(new_null_array(field.data_type(), spans.num_rows())),
        },
    };
    let arrays = target.fields().iter().map(array).collect::<Result<_, _>>()?;
    Ok(RecordBatch::try_new(Arc::clone(target), arrays)?)
}

/// The columns of one scope that the move touches: none when what is in the list stays there and every column that
/// the batch has is wanted.
fn move_attributes(
    spans: &RecordBatch,
    scope: AttributeScope,
    columns: &[AttributeColumn],
) -> Result<HashMap<String, ArrayRef>, BlockError> {
    let list = list_column(spans, scope.list_column())?;
    let wanted: Vec<&AttributeColumn> = columns.iter().filter(|own| own.scope == scope).collect();
    let schema = spans.schema();
    let own: Vec<_> = schema
        .fields()
        .iter()
        .filter_map(|field| AttributeColumn::from_column_name(field.name()))
        .filter(|own| own.scope == scope)
        .collect();
    let demoted: Vec<_> = own.iter().filter(|own| !wanted.contains(own)).collect();
    let lifted: Vec<_> = wanted.into_iter().filter(|column| list.may_have(&column.key)).collect();
    if demoted.is_empty() && lifted.is_empty() {
        return Ok(HashMap::new());
    }
    let values_of = |own: &AttributeColumn| AttributeValues::of_column(spans, own);
    let demoted: Vec<_> = demoted
        .into_iter()
        .map(|own| Ok((own.key.as_str(), values_of(own)?.0)))
        .collect::<Result<_, BlockError>>()?;
    let mut taking: Vec<OwnColumn<'_>> = Vec::with_capacity(lifted.len());
    for column in &lifted {
        let present = if own.contains(column) { values_of(column)?.0 } else { vec![None; spans.num_rows()] };
        taking.push(OwnColumn { value_type: column.value_type, rows: present });
    }
    let rest = split(&list, &lifted, &mut taking, &demoted);
    let taken = lifted.iter().zip(taking).map(|(column, taken)| (column.column_name(), taken.finish()));
    let mut moved: HashMap<String, ArrayRef> = taken.collect();
    moved.insert(scope.list_column().to_owned(), rest);
    Ok(moved)
}

/// Moves what the columns take out of the list, and puts what has lost its column in.
fn split<'a>(
    list: &AttributeList<'a>,
    lifted: &[&AttributeColumn],
    taking: &mut [OwnColumn<'a>],
    demoted: &[(&str, Vec<Option<ValueRef<'a>>>)],
) -> ArrayRef {
    // For each key in the dictionary: the columns, of different types, that take it.
    let takers: Vec<Vec<usize>> = list
        .keys()
        .iter()
        .map(|key| (0..lifted.len()).filter(|at| Some(lifted[*at].key.as_str()) == key).collect())
        .collect();
    let mut rest = AttributesBuilder::default();
    for row in 0..list.len() {
        for (key, values) in demoted {
            if let Some(value) = values[row] {
                let (value_type, text) = value.written();
                rest.raw_entry(key, value_type as i8, Some(&text));
            }
        }
        for entry in list.entries(row) {
            let takers = &takers[list.key_code(entry)];
            if !takers.iter().any(|at| taking[*at].set(row, list.value(entry))) {
                let (type_code, text) = list.raw(entry);
                rest.raw_entry(list.key(entry), type_code, text);
            }
        }
        rest.end_row();
    }
    Arc::new(rest.finish())
}

/// A typed column under construction; each row is set at most once.
struct OwnColumn<'a> {
    value_type: ValueType,
    rows: Vec<Option<ValueRef<'a>>>,
}

impl<'a> OwnColumn<'a> {
    /// Sets a row; false when it is set already or the value is not of the column's type.
    fn set(&mut self, row: usize, value: ValueRef<'a>) -> bool {
        let fits = value.value_type() == self.value_type && self.rows[row].is_none();
        if fits {
            self.rows[row] = Some(value);
        }
        fits
    }

    fn finish(self) -> ArrayRef {
        match self.value_type {
            ValueType::Bool => {
                let mut builder = BooleanBuilder::with_capacity(self.rows.len());
                let truth = |value| if let Some(ValueRef::Bool(truth)) = value { Some(truth) } else { None };
                self.rows.into_iter().for_each(|value| builder.append_option(truth(value)));
                Arc::new(builder.finish())
            }
            ValueType::Int => {
                let mut builder = Int64Builder::with_capacity(self.rows.len());
                let number =
                    |value| if let Some(ValueRef::Int(number)) = value { Some(number) } else { None };
                self.rows.into_iter().for_each(|value| builder.append_option(number(value)));
                Arc::new(builder.finish())
            }
            ValueType::Float => {
                let mut builder = Float64Builder::with_capacity(self.rows.len());
                let number =
                    |value| if let Some(ValueRef::Float(number)) = value { Some(number) } else { None };
                self.rows.into_iter().for_each(|value| builder.append_option(number(value)));
                Arc::new(builder.finish())
            }
            ValueType::String | ValueType::Empty | ValueType::Json => {
                let mut builder = StringDictionaryBuilder::<Int32Type>::new();
                let text = |value| if let Some(ValueRef::String(text)) = value { Some(text) } else { None };
                self.rows.into_iter().for_each(|value| builder.append_option(text(value)));
                Arc::new(builder.finish())
            }
        }
    }
}
