//! The section of zones: for each run of [`ZONE_ROWS`] rows of a block, which values its columns may have, so that a
//! search reads only zones that can have what it looks for.

use std::ops::RangeInclusive;

use arrow::array::{Array, Float64Array, Int8Array, Int64Array, RecordBatch, UInt64Array};
use bytes::{Buf, BufMut};
use rustc_hash::{FxHashMap, FxHashSet};
use twox_hash::XxHash64;
use vivace_model::schema::{self, AttributeColumn, AttributeScope, ValueType};
use xorf::{BinaryFuse8, BinaryFuse8Ref, DmaSerializable, Filter, FilterRef};

use super::distinct::distinct_texts;
use super::format::{ChunkRef, SectionBytes, get_reference, pack, put_reference, to_u32};
use super::tags::IndexScope;
use crate::columns::{AttributeList, EventColumns, LinkColumns, TextColumn, column, list_column};
use crate::{BlockError, ColumnError, limits};

/// Section of zones.
pub(super) const KIND: u32 = 4;
/// Rows of a zone; the last one of a block may have fewer.
pub const ZONE_ROWS: usize = 16_384;
/// Up to so many values their hashes stand one by one.
const LISTED: usize = 64;
/// The column of keys that stand in attribute lists, of spans as well as of events and links.
pub const LISTED_KEYS: &str = "";

/// Hash of a text, as filters have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ValueHash(u64);

impl ValueHash {
    /// Of a column's text.
    pub fn of(text: &str) -> Self {
        Self(XxHash64::oneshot(0, text.as_bytes()))
    }

    /// Of a key in the lists of a scope.
    pub fn of_key(scope: IndexScope, key: &str) -> Self {
        Self(XxHash64::oneshot(1 + scope as u64, key.as_bytes()))
    }
}

/// What is known of a column in one zone.
#[derive(Debug, Clone)]
enum Zone {
    /// No row has a value.
    Empty,
    /// Hashes, sorted.
    Listed(Box<[u64]>),
    Filter(HashFilter),
    Ints(RangeInclusive<i64>),
    /// NaN is in no range; a zone with one is unknown.
    Floats(RangeInclusive<f64>),
    Unknown,
}

impl Zone {
    /// Bytes in memory beside its own.
    fn bytes(&self) -> usize {
        match self {
            Self::Listed(hashes) => size_of_val(&**hashes),
            Self::Filter(filter) => filter.fingerprints.len(),
            Self::Empty | Self::Ints(_) | Self::Floats(_) | Self::Unknown => 0,
        }
    }
}

/// A binary fuse filter of hashes (Graf, Lemire: "Binary Fuse Filters", 2022), as it is stored.
#[derive(Debug, Clone)]
struct HashFilter {
    descriptor: [u8; BinaryFuse8::DESCRIPTOR_LEN],
    fingerprints: Box<[u8]>,
}

impl HashFilter {
    /// [`None`] when there is no filter for these hashes, which is next to impossible.
    fn new(hashes: &[u64]) -> Option<Self> {
        let filter = BinaryFuse8::try_from(hashes).ok()?;
        let mut descriptor = [0; BinaryFuse8::DESCRIPTOR_LEN];
        filter.dma_copy_descriptor_to(&mut descriptor);
        Some(Self { descriptor, fingerprints: filter.fingerprints })
    }

    fn contains(&self, hash: u64) -> bool {
        BinaryFuse8Ref::from_dma(&self.descriptor, &self.fingerprints).contains(&hash)
    }

    /// Whether every lookup stays inside the fingerprints: it touches three neighbouring segments.
    fn is_sound(&self) -> bool {
        let mut fields = &self.descriptor[size_of::<u64>()..];
        let (Ok(length), Ok(mask), Ok(count)) =
            (fields.try_get_u32_le(), fields.try_get_u32_le(), fields.try_get_u32_le())
        else {
            return false;
        };
        let reach = u64::from(count) + 2 * u64::from(length);
        length.is_power_of_two() && mask == length - 1 && reach <= self.fingerprints.len() as u64
    }
}

/// What is known of a column, zone by zone. A zone beyond the last may have anything.
#[derive(Debug, Clone)]
pub struct ZoneColumn {
    zones: Box<[Zone]>,
}

impl ZoneColumn {
    /// Whether a zone may have the text, or the key.
    pub fn may_have(&self, zone: usize, hash: ValueHash) -> bool {
        match self.zones.get(zone) {
            Some(Zone::Empty) => false,
            Some(Zone::Listed(hashes)) => hashes.binary_search(&hash.0).is_ok(),
            Some(Zone::Filter(filter)) => filter.contains(hash.0),
            Some(Zone::Ints(_) | Zone::Floats(_) | Zone::Unknown) | None => true,
        }
    }

    /// Whether any zone may have the text, or the key.
    pub fn may_have_anywhere(&self, hash: ValueHash) -> bool {
        (0..self.zones.len()).any(|zone| self.may_have(zone, hash))
    }

    /// Whether a zone may have any value.
    pub fn may_have_any(&self, zone: usize) -> bool {
        !matches!(self.zones.get(zone), Some(Zone::Empty))
    }

    /// Whether a zone may have a number in the range, given as whole numbers and as any.
    pub fn may_overlap(&self, zone: usize, ints: &RangeInclusive<i64>, floats: &RangeInclusive<f64>) -> bool {
        match self.zones.get(zone) {
            Some(Zone::Empty) => false,
            Some(Zone::Ints(known)) => known.start() <= ints.end() && ints.start() <= known.end(),
            Some(Zone::Floats(known)) => known.start() <= floats.end() && floats.start() <= known.end(),
            Some(Zone::Listed(_) | Zone::Filter(_) | Zone::Unknown) | None => true,
        }
    }

    /// Bytes in memory.
    pub(crate) fn memory(&self) -> u64 {
        (size_of_val(&*self.zones) + self.zones.iter().map(Zone::bytes).sum::<usize>()) as u64
    }
}

/// Values of the zone under way.
#[derive(Debug)]
enum Values {
    Hashes(FxHashSet<u64>),
    Ints(Option<RangeInclusive<i64>>),
    Floats(Option<RangeInclusive<f64>>),
    Unknown,
}

impl Values {
    fn hashes(&self) -> usize {
        match self {
            Self::Hashes(hashes) => hashes.len(),
            _ => 0,
        }
    }

    fn end(self) -> Zone {
        match self {
            Self::Hashes(hashes) if hashes.is_empty() => Zone::Empty,
            Self::Ints(None) | Self::Floats(None) => Zone::Empty,
            Self::Ints(Some(range)) => Zone::Ints(range),
            Self::Floats(Some(range)) => Zone::Floats(range),
            Self::Unknown => Zone::Unknown,
            Self::Hashes(hashes) => {
                let mut sorted: Box<[u64]> = hashes.into_iter().collect();
                sorted.sort_unstable();
                if sorted.len() <= LISTED {
                    return Zone::Listed(sorted);
                }
                HashFilter::new(&sorted).map_or(Zone::Unknown, Zone::Filter)
            }
        }
    }
}

/// Collects zones from rows in the order of a block, inside [`limits::ZONE_HASHES`] for the zone under way and
/// [`limits::ZONE_BYTES`] for each that has ended: of the columns with the most values nothing is known then.
#[derive(Debug)]
pub(super) struct ZonesBuilder {
    columns: FxHashMap<String, Vec<Zone>>,
    open: FxHashMap<String, Values>,
    /// How many there are in `open`.
    hashes: usize,
    most_hashes: usize,
    zone_bytes: usize,
    rows: usize,
}

impl Default for ZonesBuilder {
    fn default() -> Self {
        Self::with_limits(limits::ZONE_HASHES, limits::ZONE_BYTES)
    }
}

impl ZonesBuilder {
    fn with_limits(most_hashes: usize, zone_bytes: usize) -> Self {
        let (columns, open) = (FxHashMap::default(), FxHashMap::default());
        Self { columns, open, hashes: 0, most_hashes, zone_bytes, rows: 0 }
    }

    /// Adds rows that do not go beyond the end of the zone under way.
    pub(super) fn add(&mut self, batch: &RecordBatch) -> Result<(), ColumnError> {
        for (field, array) in batch.schema().fields().iter().zip(batch.columns()) {
            self.add_column(field.name(), array.as_ref());
        }
        self.add_durations(batch)?;
        self.add_listed_keys(batch)?;
        self.rows += batch.num_rows();
        if self.rows.is_multiple_of(ZONE_ROWS) {
            self.end_zone();
        }
        Ok(())
    }

    /// How many rows fit the zone under way.
    pub(super) fn room(&self) -> usize {
        ZONE_ROWS - self.rows % ZONE_ROWS
    }

    pub(super) fn section(mut self) -> Result<SectionBytes, BlockError> {
        if !self.rows.is_multiple_of(ZONE_ROWS) {
            self.end_zone();
        }
        let mut columns: Vec<_> = self.columns.into_iter().collect();
        columns.sort_by(|(a, _), (b, _)| a.cmp(b));
        let (mut root, mut rest) = (Vec::new(), Vec::new());
        root.put_u32_le(to_u32(columns.len())?);
        for (name, zones) in columns {
            let chunk = pack(&encode(&zones)?, rest.len(), &mut rest)?;
            root.put_u32_le(to_u32(name.len())?);
            root.put_slice(name.as_bytes());
            put_reference(&mut root, chunk);
        }
        Ok(SectionBytes { kind: KIND, root, rest })
    }

    fn end_zone(&mut self) {
        let zone = (self.rows - 1) / ZONE_ROWS;
        self.hashes = 0;
        let mut ended: Vec<_> = self.open.drain().map(|(name, values)| (name, values.end())).collect();
        forget_largest(&mut ended, self.zone_bytes);
        for (name, ended) in ended {
            let zones = self.columns.entry(name).or_default();
            zones.resize(zone, Zone::Empty);
            zones.push(ended);
        }
        self.columns.values_mut().for_each(|zones| zones.resize(zone + 1, Zone::Empty));
    }

    fn add_column(&mut self, name: &str, array: &dyn Array) {
        if array.null_count() == array.len() {
            return;
        }
        if matches!(name, schema::KIND | schema::STATUS) {
            let codes = array.as_any().downcast_ref::<Int8Array>().into_iter().flat_map(|codes| codes.iter());
            return self.add_ints(name, codes.flatten().map(i64::from));
        }
        if let Some(texts) = TextColumn::new(array) {
            return self.add_hashes(name, distinct_texts(texts).map(|text| ValueHash::of(text).0));
        }
        let own = AttributeColumn::from_column_name(name).map(|own| own.value_type);
        match own {
            Some(ValueType::Int) => {
                let numbers = array.as_any().downcast_ref::<Int64Array>();
                self.add_ints(name, numbers.into_iter().flat_map(|numbers| numbers.iter()).flatten());
            }
            Some(ValueType::Float) => {
                let numbers = array.as_any().downcast_ref::<Float64Array>();
                self.add_floats(name, numbers.into_iter().flat_map(|numbers| numbers.iter()).flatten());
            }
            Some(_) => {
                self.open.insert(name.to_owned(), Values::Unknown);
            }
            None => {}
        }
    }

    /// Of the columns with the most hashes nothing is known when there are too many.
    fn add_hashes(&mut self, name: &str, hashes: impl Iterator<Item = u64>) {
        let open = self.open.entry(name.to_owned()).or_insert_with(|| Values::Hashes(FxHashSet::default()));
        let Values::Hashes(known) = open else { return };
        let before = known.len();
        known.extend(hashes);
        self.hashes += known.len() - before;
        while self.hashes > self.most_hashes {
            let Some(largest) = self.open.values_mut().max_by_key(|values| values.hashes()) else { return };
            self.hashes -= largest.hashes();
            *largest = Values::Unknown;
        }
    }

    fn add_ints(&mut self, name: &str, numbers: impl Iterator<Item = i64>) {
        let Some((least, greatest)) = numbers.fold(None, |range, number| {
            let (least, greatest) = range.unwrap_or((number, number));
            Some((number.min(least), number.max(greatest)))
        }) else {
            return;
        };
        let open = self.open.entry(name.to_owned()).or_insert(Values::Ints(None));
        if let Values::Ints(range) = open {
            let known = range.take().unwrap_or(least..=greatest);
            *range = Some(least.min(*known.start())..=greatest.max(*known.end()));
        }
    }

    fn add_floats(&mut self, name: &str, numbers: impl Iterator<Item = f64>) {
        let open = self.open.entry(name.to_owned()).or_insert(Values::Floats(None));
        for number in numbers {
            match open {
                Values::Floats(_) if number.is_nan() => *open = Values::Unknown,
                Values::Floats(range) => {
                    let known = range.take().unwrap_or(number..=number);
                    *range = Some(number.min(*known.start())..=number.max(*known.end()));
                }
                _ => return,
            }
        }
    }

    /// Durations as TraceQL has them: never negative.
    fn add_durations(&mut self, batch: &RecordBatch) -> Result<(), ColumnError> {
        let starts: &UInt64Array = column(batch, schema::START)?;
        let durations: &Int64Array = column(batch, schema::DURATION)?;
        let nanos = starts.values().iter().zip(durations.values()).map(|(start, duration)| {
            let end = start.wrapping_add(duration.cast_unsigned());
            i64::try_from(end.saturating_sub(*start)).unwrap_or(i64::MAX)
        });
        self.add_ints(schema::DURATION, nanos);
        Ok(())
    }

    fn add_listed_keys(&mut self, batch: &RecordBatch) -> Result<(), ColumnError> {
        let mut keys = FxHashSet::default();
        let mut add = |scope: IndexScope, list: &AttributeList<'_>| {
            let hash = |key: &str| ValueHash::of_key(scope, key).0;
            keys.extend(list.used_keys().map(hash));
        };
        for scope in AttributeScope::ALL {
            add(scope.into(), &list_column(batch, scope.list_column())?);
        }
        add(IndexScope::Event, &EventColumns::new(batch, schema::EVENTS)?.attributes);
        add(IndexScope::Link, &LinkColumns::new(batch, schema::LINKS)?.attributes);
        self.add_hashes(LISTED_KEYS, keys.into_iter());
        Ok(())
    }
}

/// Makes the largest zones of all columns unknown until the others take no more than so many bytes.
fn forget_largest(zones: &mut [(String, Zone)], limit: usize) {
    let mut bytes: usize = zones.iter().map(|(_, zone)| zone.bytes()).sum();
    if bytes <= limit {
        return;
    }
    zones.sort_by(|(a_name, a), (b_name, b)| b.bytes().cmp(&a.bytes()).then_with(|| a_name.cmp(b_name)));
    for (_, zone) in zones {
        if bytes <= limit {
            return;
        }
        bytes -= zone.bytes();
        *zone = Zone::Unknown;
    }
}

/// The section's root: where each column's chunk is.
#[derive(Debug)]
pub(crate) struct ZoneColumns(FxHashMap<String, ChunkRef>);

impl ZoneColumns {
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    pub(super) fn chunk(&self, column: &str) -> Option<&ChunkRef> {
        self.0.get(column)
    }

    pub(crate) fn memory(&self) -> u64 {
        self.0.keys().map(|name| name.len() + size_of::<(String, ChunkRef)>()).sum::<usize>() as u64
    }
}

/// Reads a root back; [`None`] when it is not one.
pub(super) fn decode_root(mut root: &[u8]) -> Option<ZoneColumns> {
    let count = root.try_get_u32_le().ok()?;
    let mut columns = FxHashMap::default();
    for _ in 0..count {
        let length = root.try_get_u32_le().ok()? as usize;
        let (name, rest) = root.split_at_checked(length)?;
        root = rest;
        columns.insert(std::str::from_utf8(name).ok()?.to_owned(), get_reference(&mut root)?);
    }
    Some(ZoneColumns(columns))
}

mod tag {
    pub(super) const UNKNOWN: u8 = 0;
    pub(super) const EMPTY: u8 = 1;
    pub(super) const LISTED: u8 = 2;
    pub(super) const FILTER: u8 = 3;
    pub(super) const INTS: u8 = 4;
    pub(super) const FLOATS: u8 = 5;
}

fn encode(zones: &[Zone]) -> Result<Vec<u8>, BlockError> {
    let mut out = Vec::new();
    out.put_u32_le(to_u32(zones.len())?);
    for zone in zones {
        match zone {
            Zone::Unknown => out.put_u8(tag::UNKNOWN),
            Zone::Empty => out.put_u8(tag::EMPTY),
            Zone::Listed(hashes) => {
                out.put_u8(tag::LISTED);
                out.put_u8(hashes.len() as u8);
                hashes.iter().for_each(|hash| out.put_u64_le(*hash));
            }
            Zone::Filter(filter) => {
                out.put_u8(tag::FILTER);
                out.put_slice(&filter.descriptor);
                out.put_u32_le(to_u32(filter.fingerprints.len())?);
                out.put_slice(&filter.fingerprints);
            }
            Zone::Ints(range) => {
                out.put_u8(tag::INTS);
                out.put_i64_le(*range.start());
                out.put_i64_le(*range.end());
            }
            Zone::Floats(range) => {
                out.put_u8(tag::FLOATS);
                out.put_f64_le(*range.start());
                out.put_f64_le(*range.end());
            }
        }
    }
    Ok(out)
}

/// Reads a column's chunk back; [`None`] when it is not one.
pub(super) fn decode(mut bytes: &[u8]) -> Option<ZoneColumn> {
    let count = bytes.try_get_u32_le().ok()?;
    let zones = (0..count).map(|_| decode_zone(&mut bytes)).collect::<Option<_>>()?;
    Some(ZoneColumn { zones })
}

fn decode_zone(bytes: &mut &[u8]) -> Option<Zone> {
    Some(match bytes.try_get_u8().ok()? {
        tag::EMPTY => Zone::Empty,
        tag::LISTED => {
            let count = bytes.try_get_u8().ok()?;
            Zone::Listed((0..count).map(|_| bytes.try_get_u64_le().ok()).collect::<Option<_>>()?)
        }
        tag::FILTER => Zone::Filter(decode_filter(bytes)?),
        tag::INTS => Zone::Ints(bytes.try_get_i64_le().ok()?..=bytes.try_get_i64_le().ok()?),
        tag::FLOATS => Zone::Floats(bytes.try_get_f64_le().ok()?..=bytes.try_get_f64_le().ok()?),
        tag::UNKNOWN => Zone::Unknown,
        _ => return None,
    })
}

fn decode_filter(bytes: &mut &[u8]) -> Option<HashFilter> {
    let descriptor = *bytes.split_first_chunk()?.0;
    bytes.advance(descriptor.len());
    let length = bytes.try_get_u32_le().ok()? as usize;
    let (fingerprints, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(HashFilter { descriptor, fingerprints: fingerprints.into() }).filter(HashFilter::is_sound)
}

#[cfg(test)]
mod tests;
