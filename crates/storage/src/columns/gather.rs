use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, FixedSizeBinaryArray, ListArray, RecordBatch, StructArray, new_empty_array,
};
use arrow::buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::compute::interleave;
use arrow::datatypes::{DataType, FieldRef, Fields, Int32Type};
use arrow::error::ArrowError;

use super::texts::{NONE, Texts};

/// Rows of several batches of one layout as one batch, in the order given, each as batch and row. Dictionaries are
/// unified, buffers have no room to spare.
///
/// # Errors
/// [`ArrowError`] when the batches differ in layout.
pub fn gather_batches(batches: &[RecordBatch], order: &[(usize, usize)]) -> Result<RecordBatch, ArrowError> {
    let Some(first) = batches.first() else {
        return Err(ArrowError::InvalidArgumentError("no batches to gather rows from".to_owned()));
    };
    let column = |at: usize| {
        let arrays: Vec<&ArrayRef> = batches.iter().map(|batch| batch.column(at)).collect();
        gather(&arrays, order)
    };
    let columns = (0..first.num_columns()).map(column).collect::<Result<_, _>>()?;
    RecordBatch::try_new(first.schema(), columns)
}

/// The same for one column.
pub(super) fn gather(arrays: &[&ArrayRef], order: &[(usize, usize)]) -> Result<ArrayRef, ArrowError> {
    let Some(first) = arrays.first() else {
        return Err(ArrowError::InvalidArgumentError("no arrays to gather rows from".to_owned()));
    };
    if let Some(other) = arrays.iter().find(|array| array.data_type() != first.data_type()) {
        let text = format!("cannot gather rows from {} and {}", first.data_type(), other.data_type());
        return Err(ArrowError::InvalidArgumentError(text));
    }
    match first.data_type() {
        DataType::Dictionary(key, value) if **key == DataType::Int32 && is_bytes(value) => {
            Ok(gather_coded(arrays, order, value))
        }
        DataType::FixedSizeBinary(width) => Ok(gather_fixed(arrays, order, *width)),
        DataType::List(item) => gather_lists(arrays, order, item),
        DataType::Struct(fields) => gather_structs(arrays, order, fields),
        _ => {
            let arrays: Vec<&dyn Array> = arrays.iter().map(|array| array.as_ref()).collect();
            interleave(&arrays, order)
        }
    }
}

fn is_bytes(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::Binary)
}

fn nulls(arrays: &[&ArrayRef], order: &[(usize, usize)]) -> Option<NullBuffer> {
    let any = arrays.iter().any(|array| array.null_count() > 0);
    let valid = || order.iter().map(|(at, row)| arrays[*at].is_valid(*row)).collect::<NullBuffer>();
    any.then(valid).filter(|nulls| nulls.null_count() > 0)
}

/// Each text that a row has is looked up once per dictionary it is in.
fn gather_coded(arrays: &[&ArrayRef], order: &[(usize, usize)], value: &DataType) -> ArrayRef {
    let dictionaries: Vec<_> = arrays.iter().map(|array| array.as_dictionary::<Int32Type>()).collect();
    let codes: Vec<&[i32]> = dictionaries.iter().map(|array| array.keys().values().as_ref()).collect();
    let nullable: Vec<_> = dictionaries.iter().map(|array| array.keys().nulls()).collect();
    let text = |at: usize, code: usize| match value {
        DataType::Utf8 => dictionaries[at].values().as_string::<i32>().value(code).as_bytes(),
        _ => dictionaries[at].values().as_binary::<i32>().value(code),
    };
    let mut unified: Vec<Vec<u32>> =
        dictionaries.iter().map(|array| vec![NONE; array.values().len()]).collect();
    let mut texts = Texts::default();
    let rows = order.iter().map(|(at, row)| {
        if nullable[*at].is_some_and(|nulls| nulls.is_null(*row)) {
            return NONE;
        }
        let code = codes[*at][*row] as usize;
        let known = &mut unified[*at][code];
        if *known == NONE {
            *known = texts.code(0, text(*at, code));
        }
        *known
    });
    let rows: Vec<u32> = rows.collect();
    match value {
        DataType::Utf8 => texts.into_array(rows.into_iter()),
        _ => texts.into_binary_array(rows.into_iter()),
    }
}

fn gather_fixed(arrays: &[&ArrayRef], order: &[(usize, usize)], width: i32) -> ArrayRef {
    let sources: Vec<&FixedSizeBinaryArray> =
        arrays.iter().map(|array| array.as_fixed_size_binary()).collect();
    let mut bytes = Vec::with_capacity(order.len() * width as usize);
    order.iter().for_each(|(at, row)| bytes.extend_from_slice(sources[*at].value(*row)));
    Arc::new(FixedSizeBinaryArray::new(width, Buffer::from_vec(bytes), nulls(arrays, order)))
}

fn gather_lists(
    arrays: &[&ArrayRef],
    order: &[(usize, usize)],
    item: &FieldRef,
) -> Result<ArrayRef, ArrowError> {
    let lists: Vec<&ListArray> = arrays.iter().map(|array| array.as_list()).collect();
    let mut offsets = Vec::with_capacity(order.len() + 1);
    offsets.push(0_i32);
    let mut items = Vec::new();
    for (at, row) in order {
        let ends = lists[*at].value_offsets();
        items.extend((ends[*row] as usize..ends[*row + 1] as usize).map(|child| (*at, child)));
        let end = i32::try_from(items.len());
        offsets.push(end.map_err(|_| ArrowError::OffsetOverflowError(items.len()))?);
    }
    let values = if items.is_empty() {
        new_empty_array(item.data_type())
    } else {
        gather(&lists.iter().map(|list| list.values()).collect::<Vec<_>>(), &items)?
    };
    let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
    Ok(Arc::new(ListArray::try_new(Arc::clone(item), offsets, values, nulls(arrays, order))?))
}

fn gather_structs(
    arrays: &[&ArrayRef],
    order: &[(usize, usize)],
    fields: &Fields,
) -> Result<ArrayRef, ArrowError> {
    let structs: Vec<&StructArray> = arrays.iter().map(|array| array.as_struct()).collect();
    let child = |at: usize| gather(&structs.iter().map(|array| array.column(at)).collect::<Vec<_>>(), order);
    let children = (0..fields.len()).map(child).collect::<Result<_, _>>()?;
    Ok(Arc::new(StructArray::try_new(fields.clone(), children, nulls(arrays, order))?))
}
