//! From any layout of the span schema to that of one block: attributes move between lists and columns of their own, and
//! each row's order of attributes stays what it was.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanBuilder, Float64Builder, Int64Builder, RecordBatch, StringDictionaryBuilder,
    new_null_array,
};
use arrow::compute::cast;
use arrow::datatypes::{Field, Int32Type, SchemaRef};
use vivace_model::schema::{AttributeColumn, AttributeScope, ValueType, order_type};

use super::BlockError;
use crate::columns::{
    AttributeList, AttributeValues, AttributesBuilder, OrderBuilder, OrderColumn, ValueRef, list_column,
    read_order,
};

/// The batch's rows in the layout of `target`, the schema of a block in which `columns` have columns of their own.
///
/// # Errors
/// [`BlockError::Build`] when the batch is not one of spans.
pub fn conform(
    spans: &RecordBatch,
    columns: &[AttributeColumn],
    target: &SchemaRef,
) -> Result<RecordBatch, BlockError> {
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

/// The columns of one scope that the move touches: none when what is in the list stays there, every column that the
/// batch has is wanted, and they are wanted in the order the batch has them in.
fn move_attributes(
    spans: &RecordBatch,
    scope: AttributeScope,
    columns: &[AttributeColumn],
) -> Result<HashMap<String, ArrayRef>, BlockError> {
    let list = list_column(spans, scope.list_column())?;
    let wanted: Vec<&AttributeColumn> = columns.iter().filter(|own| own.scope == scope).collect();
    let place: HashMap<&AttributeColumn, usize> = wanted.iter().copied().zip(0..).collect();
    let schema = spans.schema();
    let fields = schema.fields().iter();
    let own: Vec<_> = fields
        .filter_map(|field| AttributeColumn::from_column_name(field.name()))
        .filter(|own| own.scope == scope)
        .collect();
    let targets: Vec<Option<usize>> = own.iter().map(|own| place.get(own).copied()).collect();
    let lifted = liftable(&list, &wanted);
    let stays = targets.iter().all(Option::is_some) && targets.is_sorted();
    if stays && lifted.is_empty() {
        return Ok(HashMap::new());
    }
    let values = own.iter().map(|own| Ok(AttributeValues::of_column(spans, own)?.0));
    let values: Vec<_> = values.collect::<Result<_, BlockError>>()?;
    let mut taking: Vec<Option<OwnColumn<'_>>> = wanted.iter().map(|_| None).collect();
    for at in &lifted {
        let present = own.iter().position(|own| own == wanted[*at]).map(|from| values[from].clone());
        let rows = present.unwrap_or_else(|| vec![None; spans.num_rows()]);
        taking[*at] = Some(OwnColumn { value_type: wanted[*at].value_type, rows });
    }
    let order = OrderColumn::new(spans, scope.order_column())?;
    let source = Source { own: &own, values: &values, targets: &targets, list, order };
    let (rest, sent) = source.split(&takers(&list, &wanted, &lifted), &mut taking);
    let named =
        |(at, taken): (usize, Option<OwnColumn<'_>>)| Some((wanted[at].column_name(), taken?.finish()));
    let mut moved: HashMap<String, ArrayRef> = taking.into_iter().enumerate().filter_map(named).collect();
    moved.insert(scope.list_column().to_owned(), rest);
    let sent = sent.unwrap_or_else(|| new_null_array(&order_type(), spans.num_rows()));
    moved.insert(scope.order_column().to_owned(), sent);
    Ok(moved)
}

/// The wanted columns, by their places, that have values in the list.
fn liftable(list: &AttributeList<'_>, wanted: &[&AttributeColumn]) -> Vec<usize> {
    let mut listed: HashMap<&str, u8> = HashMap::new();
    for (key, types) in list.keys().iter().zip(list.types()) {
        *listed.entry(key.unwrap_or_default()).or_default() |= types;
    }
    let has = |column: &AttributeColumn| {
        listed.get(column.key.as_str()).is_some_and(|types| types & (1 << column.value_type as u8) != 0)
    };
    (0..wanted.len()).filter(|at| has(wanted[*at])).collect()
}

/// For each key in the list's dictionary: the columns, of different types, that take it.
fn takers(list: &AttributeList<'_>, wanted: &[&AttributeColumn], lifted: &[usize]) -> Vec<Vec<usize>> {
    let mut by_key: HashMap<&str, Vec<usize>> = HashMap::new();
    for at in lifted {
        by_key.entry(&wanted[*at].key).or_default().push(*at);
    }
    list.keys().iter().map(|key| key.and_then(|key| by_key.get(key)).cloned().unwrap_or_default()).collect()
}

/// A scope's attributes where they are.
struct Source<'s, 'a> {
    own: &'s [AttributeColumn],
    values: &'s [Vec<Option<ValueRef<'a>>>],
    /// The place of each own column among the wanted ones.
    targets: &'s [Option<usize>],
    list: AttributeList<'a>,
    order: Option<OrderColumn<'a>>,
}

/// Where an attribute stands: in an own column, or in the list as this entry.
#[derive(Debug, Clone, Copy)]
enum Place {
    Own(usize),
    Listed(usize),
}

impl<'a> Source<'_, 'a> {
    /// Moves what the columns take out of the list, and puts what has lost its column in: the list that is left, and
    /// the order of attributes.
    fn split(
        &self,
        takers: &[Vec<usize>],
        taking: &mut [Option<OwnColumn<'a>>],
    ) -> (ArrayRef, Option<ArrayRef>) {
        let mut rest = AttributesBuilder::default();
        let mut sent = OrderBuilder::default();
        let mut places = Vec::new();
        for row in 0..self.list.len() {
            self.in_order(row, &mut places);
            for place in &places {
                match self.target(*place, row, takers, taking) {
                    Some(target) => sent.own(target as u32),
                    None => {
                        sent.listed();
                        self.put(*place, row, &mut rest);
                    }
                }
            }
            rest.end_row();
            sent.end_row();
        }
        (Arc::new(rest.finish()), sent.finish())
    }

    /// A row's attributes in the order they were sent in.
    fn in_order(&self, row: usize, places: &mut Vec<Place>) {
        places.clear();
        places.extend((0..self.own.len()).filter(|own| self.values[*own][row].is_some()).map(Place::Own));
        places.extend(self.list.entries(row).map(Place::Listed));
        let order = self.order.as_ref().and_then(|order| order.get(row));
        if let Some(order) = order.and_then(|bytes| read_order(bytes, places.len())) {
            *places = order.into_iter().map(|at| places[at]).collect();
        }
    }

    /// The wanted column in which the attribute stands from now on.
    fn target(
        &self,
        place: Place,
        row: usize,
        takers: &[Vec<usize>],
        taking: &mut [Option<OwnColumn<'a>>],
    ) -> Option<usize> {
        match place {
            Place::Own(own) => self.targets[own],
            Place::Listed(entry) => {
                let mut takers = takers[self.list.key_code(entry)].iter().copied();
                takers.find(|at| {
                    taking[*at].as_mut().is_some_and(|taker| taker.set(row, self.list.value(entry)))
                })
            }
        }
    }

    fn put(&self, place: Place, row: usize, rest: &mut AttributesBuilder) {
        match place {
            Place::Own(own) => {
                if let Some(value) = self.values[own][row] {
                    rest.attribute(&self.own[own].key, value);
                }
            }
            Place::Listed(entry) => {
                let (type_code, text) = self.list.raw(entry);
                rest.raw_entry(self.list.key(entry), type_code, text);
            }
        }
    }
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
