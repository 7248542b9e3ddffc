use arrow::array::{Array, AsArray, Int32Array, RecordBatch, StringArray};
use arrow::datatypes::Int32Type;

use super::{ColumnError, access::problem};

/// A column of texts, with a dictionary or without: the head and blocks choose per column.
#[derive(Debug, Clone, Copy)]
pub enum TextColumn<'a> {
    /// Each row has its text.
    Plain(&'a StringArray),
    /// Each row has the position of its text in a dictionary, which may hold texts that no row has.
    Coded {
        /// Positions.
        codes: &'a Int32Array,
        /// The dictionary.
        texts: &'a StringArray,
    },
}

impl<'a> TextColumn<'a> {
    /// Looks into an array; [`None`] if it is not one of texts.
    pub fn new(array: &'a dyn Array) -> Option<Self> {
        if let Some(plain) = array.as_string_opt() {
            return Some(Self::Plain(plain));
        }
        let coded = array.as_dictionary_opt::<Int32Type>()?;
        Some(Self::Coded { codes: coded.keys(), texts: coded.values().as_string_opt()? })
    }

    /// The text in a row; [`None`] for null.
    pub fn get(self, row: usize) -> Option<&'a str> {
        match self {
            Self::Plain(texts) => texts.is_valid(row).then(|| texts.value(row)),
            Self::Coded { codes, texts } => {
                codes.is_valid(row).then(|| texts.value(codes.value(row) as usize))
            }
        }
    }

    /// Whether two rows have the same text, or both none.
    pub(crate) fn same(self, a: usize, b: usize) -> bool {
        if let Self::Coded { codes, .. } = self
            && codes.is_valid(a)
            && codes.is_valid(b)
            && codes.value(a) == codes.value(b)
        {
            return true;
        }
        self.get(a) == self.get(b)
    }

    /// Number of rows.
    pub fn len(self) -> usize {
        match self {
            Self::Plain(texts) => texts.len(),
            Self::Coded { codes, .. } => codes.len(),
        }
    }

    /// Whether there are no rows.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Every row's text.
    pub fn iter(self) -> impl Iterator<Item = Option<&'a str>> {
        (0..self.len()).map(move |row| self.get(row))
    }
}

/// The text column called `name`.
///
/// # Errors
/// [`ColumnError`] when it is missing or of another type.
pub fn text_column<'a>(batch: &'a RecordBatch, name: &str) -> Result<TextColumn<'a>, ColumnError> {
    let array = batch.column_by_name(name).ok_or_else(|| ColumnError::missing(name))?;
    TextColumn::new(array.as_ref()).ok_or_else(|| problem(name, "has the wrong type"))
}
