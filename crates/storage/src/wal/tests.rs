mod faulty;
mod simulation;

use std::path::Path;
use std::sync::Mutex as StdMutex;

use futures::executor::block_on;
use futures::future::join_all;
use futures::{FutureExt, poll};
use tempfile::TempDir;
use vivace_base::{ErrorKind, SystemClock};
use vivace_testkit::SeededRandomness;

use super::*;
use faulty::{FaultyDisk, Step};

type Committed = Arc<StdMutex<Vec<(Seq, String, u32)>>>;

struct Collect(Committed);

impl CommitSink<u32> for Collect {
    fn committed(&mut self, seq: Seq, tenant: &TenantId, attachment: u32) {
        self.0.lock().expect("not poisoned").push((seq, tenant.to_string(), attachment));
    }
}

fn options(dir: &Path) -> WalOptions {
    let (clock, randomness) = (SystemClock::default(), SeededRandomness::new(1));
    WalOptions::new(dir, Arc::new(clock), Arc::new(randomness))
}

fn on(disk: &FaultyDisk, options: WalOptions) -> WalOptions {
    WalOptions { files: Arc::new(disk.clone()), ..options }
}

/// One record per segment.
fn tiny_segments(dir: &Path) -> WalOptions {
    WalOptions { segment_bytes: 1, ..options(dir) }
}

fn record(number: u32) -> Record<u32> {
    let payload = Bytes::from(format!("payload {number}"));
    Record { tenant: "tenant".parse().expect("valid"), format: 1, payload, attachment: number }
}

fn open_with(options: WalOptions) -> (Arc<Wal<u32>>, Vec<Result<Replayed, WalError>>) {
    let (wal, replay) = Wal::open(options, Collect(Committed::default())).expect("opens");
    (wal, replay.collect())
}

/// Opens the log and gives what it held, which must be undamaged.
fn open(dir: &Path) -> (Arc<Wal<u32>>, Vec<(Seq, String)>) {
    let (wal, replayed) = open_with(options(dir));
    let text = |r: Replayed| (r.seq, String::from_utf8_lossy(&r.payload).into_owned());
    let replayed = replayed.into_iter().map(|record| text(record.expect("undamaged")));
    (wal, replayed.collect())
}

fn append(wal: &Wal<u32>, numbers: impl IntoIterator<Item = u32>) {
    for number in numbers {
        block_on(wal.append(record(number))).expect("appended");
    }
}

fn expected(numbers: impl IntoIterator<Item = u32>) -> Vec<(Seq, String)> {
    numbers.into_iter().map(|number| (Seq::from(number), format!("payload {number}"))).collect()
}

fn segments(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).expect("readable").map(|entry| entry.expect("readable").path());
    let mut paths: Vec<_> = entries.filter(|path| format::first_seq(path).is_some()).collect();
    paths.sort();
    paths
}

/// A log of three one-record segments, closed.
fn three_segments() -> TempDir {
    let dir = TempDir::new().expect("made");
    let (wal, _) = open_with(tiny_segments(dir.path()));
    append(&wal, 1..=3);
    dir
}

#[test]
fn what_was_appended_is_replayed_and_numbers_go_on() {
    let dir = TempDir::new().expect("made");
    let (wal, replayed) = open(dir.path());
    assert_eq!((replayed, wal.last_committed()), (vec![], 0));
    append(&wal, 1..=3);
    let id = wal.writer_id().to_owned();
    drop(wal);
    let (wal, replayed) = open(dir.path());
    assert_eq!((replayed, wal.last_committed()), (expected(1..=3), 3));
    assert_eq!(wal.writer_id(), id);
    append(&wal, [4]);
    drop(wal);
    assert_eq!(open(dir.path()).1, expected(1..=4));
}

#[test]
fn tenant_format_and_an_empty_payload_come_back() {
    let dir = TempDir::new().expect("made");
    let (wal, _) = open(dir.path());
    let tenant: TenantId = "a*(b)'".parse().expect("valid");
    let record = Record { tenant: tenant.clone(), format: 255, payload: Bytes::new(), attachment: 0 };
    block_on(wal.append(record)).expect("appended");
    drop(wal);
    let (_wal, replayed) = open_with(options(dir.path()));
    let replayed: Vec<_> = replayed.into_iter().map(|r| r.expect("undamaged")).collect();
    assert_eq!(replayed, [Replayed { seq: 1, tenant, format: 255, payload: Bytes::new() }]);
}

#[test]
fn the_sink_has_a_record_before_its_appender_hears_of_it_and_in_order() {
    let dir = TempDir::new().expect("made");
    let committed = Committed::default();
    let (wal, _) = Wal::open(options(dir.path()), Collect(Arc::clone(&committed))).expect("opens");
    let appends = (0..100).map(|number| {
        let (wal, committed) = (&wal, &committed);
        async move {
            let seq = wal.append(record(number)).await.expect("appended");
            let seen = committed.lock().expect("not poisoned").clone();
            assert!(seen.contains(&(seq, "tenant".to_owned(), number)), "record {seq} came too late");
        }
    });
    block_on(join_all(appends));
    let seqs: Vec<_> = committed.lock().expect("not poisoned").iter().map(|(seq, ..)| *seq).collect();
    assert_eq!(seqs, (1..=100).collect::<Vec<_>>());
    assert_eq!(wal.last_committed(), 100);
}

#[test]
fn records_that_wait_share_one_sync_and_a_full_queue_makes_appends_wait() {
    let dir = TempDir::new().expect("made");
    let disk = FaultyDisk::new(1);
    let options = WalOptions { queue_records: 3, ..options(dir.path()) };
    let (wal, _) = Wal::open(on(&disk, options), Collect(Committed::default())).expect("opens");
    let gate = disk.hold_syncs();
    let mut first = Box::pin(wal.append(record(1)));
    let mut rest: Vec<_> = (2..=5).map(|number| Box::pin(wal.append(record(number)))).collect();
    block_on(async {
        assert!(poll!(&mut first).is_pending());
        gate.wait_until_reached();
        for append in &mut rest {
            assert!(poll!(append).is_pending());
        }
    });
    // Three wait in the queue and the fourth for room in it.
    assert_eq!(wal.queue.capacity(), 0);
    gate.open();
    assert_eq!(block_on(first).expect("appended"), 1);
    let seqs: Vec<_> = block_on(join_all(rest)).into_iter().map(|seq| seq.expect("appended")).collect();
    assert_eq!(seqs, [2, 3, 4, 5]);
    let syncs = wal.stats().fsyncs.count();
    assert!(syncs <= 3, "{syncs} syncs for 5 records");
}

#[test]
fn a_payload_over_the_limit_is_refused() {
    let dir = TempDir::new().expect("made");
    let (wal, _) = open_with(WalOptions { max_record_bytes: 9, ..options(dir.path()) });
    append(&wal, [1]);
    let error = block_on(wal.append(record(10))).expect_err("10 bytes");
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert!(error.to_string().contains("10B") && error.to_string().contains("9B"), "{error}");
}

#[test]
fn close_commits_what_is_waiting_and_refuses_the_rest() {
    let dir = TempDir::new().expect("made");
    let (wal, _) = open(dir.path());
    let mut waiting: Vec<_> = (1..=20).map(|number| Box::pin(wal.append(record(number)))).collect();
    block_on(async {
        for append in &mut waiting {
            let _ = poll!(append);
        }
    });
    wal.close();
    let accepted = waiting.into_iter().filter_map(|append| append.now_or_never()?.ok()).count();
    assert_eq!(accepted, 20);
    assert!(matches!(block_on(wal.append(record(21))), Err(WalError::Closed)));
    wal.close();
    drop(wal);
    assert_eq!(open(dir.path()).1, expected(1..=20));
}

#[test]
fn a_directory_has_one_owner() {
    let dir = TempDir::new().expect("made");
    let (wal, _) = open(dir.path());
    let error = Wal::open(options(dir.path()), Collect(Committed::default())).expect_err("in use");
    assert!(matches!(error, WalError::Locked { .. }), "{error}");
    drop(wal);
    open(dir.path());
}

#[test]
fn release_deletes_whole_covered_segments_only() {
    let dir = TempDir::new().expect("made");
    let (wal, _) = open_with(tiny_segments(dir.path()));
    append(&wal, 1..=4);
    assert_eq!(wal.stats().segments, 4);
    assert_eq!(wal.release(2).expect("released"), 2);
    assert_eq!((wal.stats().segments, wal.stats().oldest_seq), (2, 3));
    assert_eq!(wal.release(2).expect("released"), 0);
    drop(wal);
    assert_eq!(open(dir.path()).1, expected(3..=4));
}

#[test]
fn a_segment_that_is_covered_in_part_stays() {
    let dir = TempDir::new().expect("made");
    let (wal, _) = open(dir.path());
    append(&wal, 1..=4);
    assert_eq!(wal.release(3).expect("released"), 0);
    drop(wal);
    assert_eq!(open(dir.path()).1, expected(1..=4));
}

#[test]
fn numbers_never_start_again_even_when_everything_was_released() {
    let dir = TempDir::new().expect("made");
    let (wal, _) = open(dir.path());
    append(&wal, 1..=4);
    assert_eq!(wal.release(4).expect("released"), 1);
    assert_eq!(wal.release(Seq::MAX).expect("nothing left"), 0);
    drop(wal);
    for _ in 0..3 {
        drop(open(dir.path()));
    }
    let (wal, replayed) = open(dir.path());
    assert_eq!((replayed, wal.last_committed()), (vec![], 4));
    append(&wal, [5]);
    drop(wal);
    assert_eq!(open(dir.path()).1, expected([5]));
}

#[test]
fn a_torn_end_is_cut_off_wherever_it_tears() {
    let dir = TempDir::new().expect("made");
    let (wal, _) = open(dir.path());
    append(&wal, 1..=2);
    let segment = segments(dir.path()).pop().expect("one");
    let durable = std::fs::read(&segment).expect("readable").len();
    append(&wal, [3]);
    drop(wal);
    let whole = std::fs::read(&segment).expect("readable");
    for end in durable..whole.len() {
        let zeroed = [&whole[..end], &vec![0; whole.len() - end]].concat();
        for torn in [&whole[..end], &zeroed] {
            let copy = TempDir::new().expect("made");
            std::fs::write(copy.path().join(segment.file_name().expect("named")), torn).expect("written");
            let (wal, replayed) = open(copy.path());
            assert_eq!(replayed, expected(1..=2), "torn at {end}");
            append(&wal, [3]);
            drop(wal);
            assert_eq!(open(copy.path()).1, expected(1..=3), "torn at {end}");
        }
    }
}

/// Three records, and a fourth in the next segment; of the second one byte is changed. What is replayed.
fn with_damaged_second(
    at: impl Fn(usize) -> usize,
) -> (TempDir, Arc<Wal<u32>>, Vec<Result<Replayed, WalError>>) {
    let dir = TempDir::new().expect("made");
    let (wal, _) = open(dir.path());
    append(&wal, 1..=3);
    drop(wal);
    append(&open(dir.path()).0, [4]);
    let segment = segments(dir.path()).remove(0);
    let mut bytes = std::fs::read(&segment).expect("readable");
    let record_bytes = (bytes.len() - format::HEADER_BYTES) / 3;
    let second = format::HEADER_BYTES + record_bytes;
    bytes[second + at(record_bytes)] ^= 1;
    std::fs::write(&segment, bytes).expect("written");
    let (wal, replayed) = open_with(options(dir.path()));
    let message = replayed[1].as_ref().expect_err("damaged").to_string();
    let place = format!("{} is damaged at byte {second}", segment.display());
    assert!(message.starts_with(&place), "{message}");
    (dir, wal, replayed)
}

fn seqs(replayed: &[Result<Replayed, WalError>]) -> Vec<Option<Seq>> {
    replayed.iter().map(|record| record.as_ref().ok().map(|r| r.seq)).collect()
}

#[test]
fn damage_of_a_record_costs_that_record() {
    let (_dir, _wal, replayed) = with_damaged_second(|length| length / 2);
    assert_eq!(seqs(&replayed), [Some(1), None, Some(3), Some(4)]);
    let message = replayed[1].as_ref().expect_err("damaged").to_string();
    assert!(message.contains("CRC") && message.contains("the record there is lost"), "{message}");
}

#[test]
fn damage_of_a_length_costs_the_rest_of_its_segment() {
    let (_dir, _wal, replayed) = with_damaged_second(|_| 4);
    assert_eq!(seqs(&replayed), [Some(1), None, Some(4)]);
}

#[test]
fn damage_in_the_last_segment_costs_nothing_behind_it() {
    let dir = TempDir::new().expect("made");
    append(&open(dir.path()).0, 1..=3);
    let segment = segments(dir.path()).remove(0);
    let mut bytes = std::fs::read(&segment).expect("readable");
    let middle = format::HEADER_BYTES + (bytes.len() - format::HEADER_BYTES) / 2;
    bytes[middle] ^= 1;
    std::fs::write(&segment, bytes).expect("written");
    let (wal, replayed) = open_with(options(dir.path()));
    assert_eq!(seqs(&replayed), [Some(1), None, Some(3)]);
    assert_eq!(block_on(wal.append(record(4))).expect("appended"), 4);
}

#[test]
fn a_damaged_segment_is_put_aside_when_it_is_released() {
    let (dir, wal, replayed) = with_damaged_second(|length| length / 2);
    wal.quarantine(replayed[1].as_ref().expect_err("damaged"));
    assert_eq!(wal.release(4).expect("released"), 2);
    let mut names: Vec<_> = std::fs::read_dir(dir.path())
        .expect("readable")
        .map(|entry| entry.expect("readable").file_name().into_string().expect("text"))
        .collect();
    names.sort();
    let expected = ["00000000000000000001.wal.damaged", "00000000000000000005.wal", "lock", "writer"];
    assert_eq!(names, expected);
}

#[test]
fn a_damaged_header_never_costs_the_bytes_behind_it_or_a_number_twice() {
    let dir = three_segments();
    let last = segments(dir.path()).pop().expect("three");
    let mut bytes = std::fs::read(&last).expect("readable");
    bytes[0] ^= 1;
    std::fs::write(&last, &bytes).expect("written");
    let (wal, replayed) = open_with(options(dir.path()));
    assert_eq!(replayed.iter().filter(|record| record.is_ok()).count(), 2);
    assert!(matches!(&replayed[2], Err(WalError::Corrupt { path, offset: 0, .. }) if *path == last));
    assert!(block_on(wal.append(record(4))).expect("appended") > 3);
    assert_eq!(std::fs::read(&last).expect("still there"), bytes);
}

#[test]
fn a_segment_that_got_no_further_than_its_name_keeps_the_numbers_going() {
    let dir = three_segments();
    std::fs::write(dir.path().join("00000000000000000004.wal"), b"viv").expect("written");
    let (wal, replayed) = open(dir.path());
    assert_eq!(replayed, expected(1..=3));
    assert_eq!(block_on(wal.append(record(4))).expect("appended"), 4);
}

#[test]
fn a_newer_format_is_refused() {
    let dir = three_segments();
    let path = segments(dir.path()).remove(1);
    let mut bytes = std::fs::read(&path).expect("readable");
    bytes[8] = 2;
    let crc = crc32fast::hash(&bytes[..20]);
    bytes[20..24].copy_from_slice(&crc.to_le_bytes());
    std::fs::write(&path, bytes).expect("written");
    let error = Wal::open(options(dir.path()), Collect(Committed::default())).expect_err("too new");
    assert!(matches!(error, WalError::UnsupportedFormat { found: 2, known: 1, .. }), "{error}");
}

#[test]
fn a_failed_write_or_sync_refuses_its_records_and_the_next_ones_are_kept() {
    for step in [Step::Write, Step::Sync] {
        let dir = TempDir::new().expect("made");
        let disk = FaultyDisk::new(1);
        let sink = Committed::default();
        let opened = Wal::open(on(&disk, options(dir.path())), Collect(Arc::clone(&sink)));
        let (wal, _) = opened.expect("opens");
        append(&wal, [1]);
        disk.fail_next(step);
        let error = block_on(wal.append(record(2))).expect_err("the disk refused");
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        append(&wal, [3]);
        assert_eq!(wal.stats().failed_groups, 1);
        drop(wal);
        // Number 2 is burnt: it may have reached the disk.
        assert_eq!(open(dir.path()).1, expected([1, 3]), "{step:?}");
        let seen: Vec<_> = sink.lock().expect("not poisoned").iter().map(|(seq, ..)| *seq).collect();
        assert_eq!(seen, [1, 3], "{step:?}");
    }
}

#[test]
fn a_segment_that_cannot_be_made_is_tried_again() {
    let dir = TempDir::new().expect("made");
    let disk = FaultyDisk::new(1);
    let opened = Wal::open(on(&disk, tiny_segments(dir.path())), Collect(Committed::default()));
    let (wal, _) = opened.expect("opens");
    append(&wal, [1]);
    disk.fail_next(Step::Create);
    assert!(block_on(wal.append(record(9))).is_err());
    disk.fail_next(Step::Create);
    assert!(wal.release(1).is_err());
    append(&wal, [2]);
    assert_eq!(wal.release(1).expect("released"), 1);
    drop(wal);
    assert_eq!(open(dir.path()).1, expected([2]));
}

#[test]
fn version_1_is_read() {
    let dir = TempDir::new().expect("made");
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/wal-v1");
    for name in ["00000000000000000041.wal", "writer"] {
        std::fs::copy(fixture.join(name), dir.path().join(name)).expect("copied");
    }
    let (wal, replayed) = open_with(options(dir.path()));
    let tenant = |text: &str| text.parse().expect("valid");
    let record = |seq, name, format, payload| Replayed { seq, tenant: tenant(name), format, payload };
    let replayed: Vec<_> = replayed.into_iter().map(|r| r.expect("undamaged")).collect();
    assert_eq!(
        replayed,
        [
            record(41, "single-tenant", 1, Bytes::from_static(b"first")),
            record(42, "a*(b)'", 2, Bytes::new()),
            record(44, "single-tenant", 1, Bytes::from_static(&[0, 255, 10])),
        ]
    );
    assert_eq!(wal.writer_id(), "00112233445566778899aabbccddeeff");
    assert_eq!(wal.last_committed(), 44);
}
