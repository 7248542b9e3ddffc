//! A segment of the write-ahead log is read as far as it is whole. What was read is still there after the next start, and
//! before what is appended then.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::executor::block_on;
use vivace_base::{SystemClock, SystemRandomness};
use vivace_model::TenantId;
use vivace_storage::wal::{CommitSink, Record, Replayed, Seq, Wal, WalOptions};
use vivace_storage::{Replay, WalError};
use vivace_testkit::fuzz::Target;
use vivace_testkit::{Fuse, SeededRandomness, SimulatedFiles};

/// The copy of a record that is read, and buffers of files.
pub(crate) const TARGET: Target = Target { name: "wal", check, memory: 512 << 10, memory_per_byte: 8 };

const FOLDER: &str = "/wal";
const HEADER: usize = 24;
const FRAME: usize = 8;
/// Of the first byte of input: checksums are made to match.
const REPAIRED: u8 = 1;
/// Of the first byte of input: another segment follows, so that the end is no torn one.
const FOLLOWED: u8 = 2;

struct Sink;

impl CommitSink<()> for Sink {
    fn committed(&mut self, _: Seq, _: &TenantId, (): ()) {}
}

fn check(input: &[u8]) {
    let Some((how, segment)) = input.split_first() else { return };
    let mut segment = segment.to_vec();
    if how & REPAIRED != 0 {
        repair(&mut segment);
    }
    let first = segment.get(12..20).and_then(|bytes| bytes.try_into().ok()).map_or(1, Seq::from_le_bytes);
    let files = files();
    files.write(&path(first), &segment);
    if how & FOLLOWED != 0 && first < Seq::MAX / 2 {
        let next = first + (1 << 32);
        files.write(&path(next), &header(next));
    }
    match open(&files) {
        Ok((wal, replay)) => keeps_what_it_read(&files, wal, replay, first, segment.len()),
        Err(error) => names_the_place(&error, segment.len()),
    }
}

fn files() -> SimulatedFiles {
    SimulatedFiles::new(Arc::new(Fuse::default()), SeededRandomness::new(1))
}

fn path(first: Seq) -> PathBuf {
    Path::new(FOLDER).join(format!("{first:020}.wal"))
}

fn header(first: Seq) -> Vec<u8> {
    let mut header = [&b"vivacewl\x01\0\0\0"[..], &first.to_le_bytes(), &[0; 4]].concat();
    repair(&mut header);
    header
}

/// Makes the checksums match, as far as the lengths lead.
fn repair(segment: &mut [u8]) {
    let Some((header, mut records)) = segment.split_at_mut_checked(HEADER) else { return };
    let (checked, crc) = header.split_at_mut(HEADER - 4);
    crc.copy_from_slice(&crc32fast::hash(checked).to_le_bytes());
    while let Some(length) = records.get(4..FRAME) {
        let length = length.try_into().map_or(0, u32::from_le_bytes) as usize;
        let Some((record, rest)) = records.split_at_mut_checked(FRAME.saturating_add(length)) else { return };
        let (crc, checked) = record.split_at_mut(4);
        crc.copy_from_slice(&crc32fast::hash(checked).to_le_bytes());
        records = rest;
    }
}

fn open(files: &SimulatedFiles) -> Result<(Arc<Wal<()>>, Replay), WalError> {
    let options = WalOptions::new(FOLDER, Arc::new(SystemClock::default()), Arc::new(SystemRandomness));
    Wal::open(WalOptions { files: Arc::new(files.clone()), ..options }, Sink)
}

fn keeps_what_it_read(files: &SimulatedFiles, wal: Arc<Wal<()>>, replay: Replay, first: Seq, length: usize) {
    let records = read(replay, length);
    assert!(records.iter().map(|record| record.seq).is_sorted_by(|a, b| a < b), "{records:?}");
    assert!(
        records.first().is_none_or(|record| record.seq >= first),
        "{records:?} in the segment of {first}"
    );
    let appended = records.last().map_or_else(|| b"payload"[..].into(), |record| record.payload.clone());
    let tenant = records.last().map_or_else(TenantId::single, |record| record.tenant.clone());
    let record = Record { tenant: tenant.clone(), format: 7, payload: appended.clone(), attachment: () };
    let seq = block_on(wal.append(record)).expect("what is new is taken");
    assert!(records.iter().all(|record| record.seq < seq), "{records:?} before {seq}");
    drop(wal);
    let again = open(files).map(|(_, replay)| read(replay, length));
    let expected = [records, vec![Replayed { seq, tenant, format: 7, payload: appended }]].concat();
    assert_eq!(again.expect("opens again"), expected);
}

/// The records; errors are looked at.
fn read(replay: Replay, length: usize) -> Vec<Replayed> {
    let mut records = Vec::new();
    for record in replay {
        match record {
            Ok(record) => records.push(record),
            Err(error) => names_the_place(&error, length),
        }
    }
    records
}

fn names_the_place(error: &WalError, length: usize) {
    let path = match error {
        WalError::Corrupt { path, offset, .. } => {
            assert!(*offset <= length as u64, "{error}");
            path
        }
        WalError::UnsupportedFormat { path, .. } => path,
        other => panic!("{other}"),
    };
    assert!(path.starts_with(FOLDER), "{error}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{example, found, run};

    fn written() -> Vec<u8> {
        let files = files();
        let (wal, _) = open(&files).expect("opens");
        for (tenant, payload) in [("a", &b""[..]), ("tenant-2", b"payload"), ("a", &[7; 300])] {
            let record = Record {
                tenant: tenant.parse().expect("a tenant"),
                format: 1,
                payload: payload.into(),
                attachment: (),
            };
            block_on(wal.append(record)).expect("appends");
        }
        wal.close();
        files.contents()[&path(1)].clone()
    }

    fn seeds() -> Vec<Vec<u8>> {
        let segments = [example("wal-v1/00000000000000000041.wal"), written(), header(1)];
        let each = |how: u8| segments.iter().map(move |segment| [&[how], &segment[..]].concat());
        let numbered =
            [0, 1 << 40, 1 << 62, Seq::MAX].map(|seq| [&[REPAIRED | FOLLOWED], &numbered(seq)[..]].concat());
        (0..4).flat_map(each).chain(numbered).chain(found("wal")).collect()
    }

    /// A segment whose first record has this number.
    fn numbered(seq: Seq) -> Vec<u8> {
        let mut segment = written();
        segment[HEADER + FRAME..][..8].copy_from_slice(&seq.to_le_bytes());
        if seq == 0 {
            segment[12..20].fill(0);
        }
        segment
    }

    #[test]
    fn mutated_segments_are_read_as_far_as_they_are_whole() {
        run(&TARGET, seeds, 3_000);
    }
}
