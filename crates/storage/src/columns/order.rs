//! The order in which a span's attributes were sent. Canonical is the order of a batch's own columns, followed by the
//! list; a row whose attributes were sent in another order has it written down, as for each attribute sent its
//! position in canonical order, a varint each.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use arrow::array::ArrayRef;
use vivace_model::schema::AttributeColumn;

use super::texts::{NONE, Texts};

/// How many columns an [`AttributeOrder`] remembers.
const REMEMBERED: usize = 4096;

/// The order of own columns that most rows agree with, learnt from what is sent, and the same for all batches made
/// with it, so that they can be joined without looking at rows.
#[derive(Debug, Default)]
pub struct AttributeOrder(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    columns: Vec<AttributeColumn>,
    ranks: HashMap<AttributeColumn, usize>,
}

impl AttributeOrder {
    /// Puts columns, given in the order a batch has them, in the order of all batches. New ones are learnt.
    pub fn arrange<T>(&self, columns: &mut [T], column: impl Fn(&T) -> &AttributeColumn) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.learn(columns.iter().map(&column));
        columns.sort_by_cached_key(|own| known.ranks.get(column(own)).copied().unwrap_or(usize::MAX));
    }
}

impl Known {
    fn learn<'a>(&mut self, columns: impl Iterator<Item = &'a AttributeColumn>) {
        let mut at = 0;
        let mut learnt = false;
        for column in columns {
            if let Some(rank) = self.ranks.get(column) {
                // Ranks of what stands behind an insertion are a little behind until they are counted anew.
                at = self.columns[*rank..]
                    .iter()
                    .position(|known| known == column)
                    .map_or(at, |on| rank + on + 1);
            } else if self.columns.len() < REMEMBERED {
                self.columns.insert(at, column.clone());
                at += 1;
                learnt = true;
            }
        }
        if learnt {
            self.ranks =
                self.columns.iter().enumerate().map(|(rank, column)| (column.clone(), rank)).collect();
        }
    }
}

/// Notes the order of attributes row by row.
#[derive(Debug, Default)]
pub(crate) struct OrderBuilder {
    /// Of the current row: the own column of each attribute, or [`NONE`] for one in the list.
    sent: Vec<u32>,
    /// Own columns in their order.
    sorted: Vec<u32>,
    bytes: Vec<u8>,
    texts: Texts,
    codes: Vec<u32>,
    any: bool,
}

impl OrderBuilder {
    /// The next attribute stands in an own column; `column` is its place among them.
    pub(crate) fn own(&mut self, column: u32) {
        self.sent.push(column);
    }

    /// The next attribute stands in the list.
    pub(crate) fn listed(&mut self) {
        self.sent.push(NONE);
    }

    /// Ends the current row.
    pub(crate) fn end_row(&mut self) {
        // NONE is the largest number: canonical is not descending.
        if self.sent.is_sorted() {
            self.codes.push(NONE);
        } else {
            self.any = true;
            self.write();
            let code = self.texts.code(0, &self.bytes);
            self.codes.push(code);
        }
        self.sent.clear();
    }

    fn write(&mut self) {
        self.sorted.clear();
        self.sorted.extend(self.sent.iter().filter(|column| **column != NONE));
        self.sorted.sort_unstable();
        let mut listed = self.sorted.len();
        self.bytes.clear();
        for column in &self.sent {
            let at = if *column == NONE {
                listed += 1;
                listed - 1
            } else {
                self.sorted.partition_point(|other| other < column)
            };
            write_varint(&mut self.bytes, at);
        }
    }

    /// The column; [`None`] when all rows are in canonical order.
    pub(crate) fn finish(self) -> Option<ArrayRef> {
        self.any.then(|| self.texts.into_binary_array(self.codes.into_iter()))
    }
}

fn write_varint(bytes: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// Reads a row's order: for each attribute sent its position in canonical order. [`None`] when the bytes are no order of
/// `length` attributes, as when not all of them were read.
pub(crate) fn read_order(bytes: &[u8], length: usize) -> Option<Vec<usize>> {
    let mut positions = Vec::with_capacity(length);
    let (mut number, mut shift) = (0_usize, 0);
    for byte in bytes {
        number |= usize::from(byte & 0x7f).checked_shl(shift)?;
        shift += 7;
        if byte & 0x80 == 0 {
            positions.push(number);
            (number, shift) = (0, 0);
        }
    }
    let mut seen = vec![false; length];
    let is_order = positions.len() == length
        && positions.iter().all(|at| seen.get_mut(*at).is_some_and(|seen| !std::mem::replace(seen, true)));
    is_order.then_some(positions)
}
