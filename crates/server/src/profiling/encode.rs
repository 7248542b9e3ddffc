//! `perftools.profiles.Profile`, gzipped: what `go tool pprof` reads.

use std::collections::HashMap;
use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use procfs::process::{MMPermissions, MMapPath, MemoryMap, Process};
use prost::Message;

use super::{ProfileError, failed};

/// Addresses of calls, the innermost first, and what was counted of it.
#[derive(Debug)]
pub(super) struct Stack {
    pub(super) addresses: Vec<u64>,
    pub(super) value: i64,
}

/// A profile of `[kind, unit]`, sampled every `period` of the unit.
pub(super) fn encode(
    [kind, unit]: [&str; 2],
    period: i64,
    stacks: impl Iterator<Item = Stack>,
) -> Result<Vec<u8>, ProfileError> {
    // The first text must be empty.
    let mut texts = vec![String::new(), kind.to_owned(), unit.to_owned()];
    let of_kind = ValueType { kind: 1, unit: 2 };
    let mappings = mappings(&mut texts)?;
    let mut locations = Locations { mappings: &mappings, ids: HashMap::new(), list: Vec::new() };
    let samples: Vec<_> = stacks
        .map(|stack| Sample {
            locations: stack.addresses.iter().map(|address| locations.id(*address)).collect(),
            values: vec![stack.value],
        })
        .collect();
    let locations = locations.list;
    let (sample_types, period_type) = (vec![of_kind], Some(of_kind));
    let profile = Profile { sample_types, samples, mappings, locations, texts, period_type, period };
    let mut compressed = GzEncoder::new(Vec::new(), Compression::default());
    compressed.write_all(&profile.encode_to_vec()).map_err(failed)?;
    compressed.finish().map_err(failed)
}

/// Where files with code are in memory. The program comes first, as pprof wants it.
fn mappings(texts: &mut Vec<String>) -> Result<Vec<Mapping>, ProfileError> {
    let process = Process::myself().map_err(failed)?;
    let maps = process.maps().map_err(failed)?;
    let mut files: Vec<(&MemoryMap, _)> = Vec::new();
    for map in maps.iter().filter(|map| map.perms.contains(MMPermissions::EXECUTE)) {
        if let MMapPath::Path(path) = &map.pathname {
            files.push((map, path));
        }
    }
    let program = process.exe().map_err(failed)?;
    files.sort_by_key(|(_, path)| **path != program);
    let mapping = |(id, (map, path)): (u64, (&MemoryMap, &std::path::PathBuf))| {
        texts.push(path.display().to_string());
        Mapping {
            id,
            start: map.address.0,
            limit: map.address.1,
            offset: map.offset,
            file: texts.len() as i64 - 1,
        }
    };
    Ok((1..).zip(files).map(mapping).collect())
}

/// Each address once.
struct Locations<'a> {
    mappings: &'a [Mapping],
    ids: HashMap<u64, u64>,
    list: Vec<Location>,
}

impl Locations<'_> {
    fn id(&mut self, address: u64) -> u64 {
        *self.ids.entry(address).or_insert_with(|| {
            let holds = |mapping: &&Mapping| (mapping.start..mapping.limit).contains(&address);
            let mapping = self.mappings.iter().find(holds).map_or(0, |mapping| mapping.id);
            let id = self.list.len() as u64 + 1;
            self.list.push(Location { id, mapping, address });
            id
        })
    }
}

#[derive(Clone, PartialEq, Message)]
struct Profile {
    #[prost(message, repeated, tag = "1")]
    sample_types: Vec<ValueType>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<Sample>,
    #[prost(message, repeated, tag = "3")]
    mappings: Vec<Mapping>,
    #[prost(message, repeated, tag = "4")]
    locations: Vec<Location>,
    #[prost(string, repeated, tag = "6")]
    texts: Vec<String>,
    #[prost(message, optional, tag = "11")]
    period_type: Option<ValueType>,
    #[prost(int64, tag = "12")]
    period: i64,
}

/// Both are numbers of texts.
#[derive(Clone, Copy, PartialEq, Message)]
struct ValueType {
    #[prost(int64, tag = "1")]
    kind: i64,
    #[prost(int64, tag = "2")]
    unit: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Sample {
    #[prost(uint64, repeated, tag = "1")]
    locations: Vec<u64>,
    #[prost(int64, repeated, tag = "2")]
    values: Vec<i64>,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Mapping {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(uint64, tag = "2")]
    start: u64,
    #[prost(uint64, tag = "3")]
    limit: u64,
    #[prost(uint64, tag = "4")]
    offset: u64,
    #[prost(int64, tag = "5")]
    file: i64,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Location {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(uint64, tag = "2")]
    mapping: u64,
    #[prost(uint64, tag = "3")]
    address: u64,
}
