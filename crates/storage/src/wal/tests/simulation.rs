//! Lives of a log that end in a power cut, with a disk that fails now and then. What was acknowledged comes back in
//! every later life, once, in order, until it is released.

use std::collections::{BTreeMap, BTreeSet};

use vivace_testkit::seeds;

use super::*;

const LIVES: usize = 8;

struct Simulation {
    dir: TempDir,
    random: SeededRandomness,
    disk: FaultyDisk,
    /// What must come back: number and payload number.
    kept: Vec<(Seq, u32)>,
    /// Payload numbers handed to an append so far are below this.
    attempted: u32,
    released: Seq,
}

#[test]
fn acknowledged_records_survive_power_cuts_and_disk_errors() {
    for seed in seeds(60) {
        let mut simulation = Simulation {
            dir: TempDir::new().expect("made"),
            random: SeededRandomness::new(seed),
            disk: FaultyDisk::new(seed),
            kept: Vec::new(),
            attempted: 0,
            released: 0,
        };
        for _ in 0..LIVES {
            simulation.live();
        }
        let wal = simulation.open();
        drop(wal);
    }
}

impl Simulation {
    fn live(&mut self) {
        let wal = self.open();
        self.disk.fail_at_random(*self.random.pick(&[0, 0, 5, 20]));
        for _ in 0..self.random.below(12) {
            self.append_some(&wal);
            if self.random.chance(20) {
                self.release(&wal);
            }
        }
        if self.random.chance(30) {
            self.disk.fail_at_random(0);
            wal.close();
            return;
        }
        let durable = self.sizes();
        // One record is one group; the power goes before its sync has done its work.
        let doomed = self.record();
        let _ = block_on(wal.append(doomed));
        self.disk.fail_at_random(0);
        drop(wal);
        self.cut_power(&durable);
    }

    /// Opens the log, and checks that it holds what it must and nothing that was never appended.
    fn open(&mut self) -> Arc<Wal<u32>> {
        self.disk.fail_at_random(0);
        let segment_bytes = *self.random.pick(&[1, 200, 1 << 20]);
        let options = on(&self.disk, WalOptions { segment_bytes, ..options(self.dir.path()) });
        let sink = Collect(Committed::default());
        let (wal, replay) = Wal::open(options, sink).expect("opens");
        let (replayed, damaged): (Vec<_>, Vec<_>) = replay.partition(Result::is_ok);
        let tolerated = self.disk.truncations_failed() > 0;
        assert!(damaged.is_empty() || tolerated, "damage without a failed truncation: {damaged:?}");
        let number = |r: &Replayed| String::from_utf8_lossy(&r.payload).parse().expect("a number");
        let replayed: Vec<(Seq, u32)> =
            replayed.into_iter().flatten().map(|record| (record.seq, number(&record))).collect();
        assert!(replayed.is_sorted_by(|a, b| a.0 < b.0), "out of order: {replayed:?}");
        let numbers: BTreeSet<_> = replayed.iter().map(|(_, number)| *number).collect();
        assert_eq!(numbers.len(), replayed.len(), "twice: {replayed:?}");
        assert!(numbers.iter().all(|number| *number < self.attempted), "invented: {replayed:?}");
        let lost: Vec<_> = self.kept.iter().filter(|record| !replayed.contains(record)).collect();
        assert!(lost.is_empty(), "lost {lost:?} of {:?}, replayed {replayed:?}", self.kept);
        let newest = self.kept.last().map_or(0, |(seq, _)| *seq).max(self.released);
        assert!(wal.last_committed() >= newest, "numbers start again");
        // What a replay has shown is in the head from then on, acknowledged or not.
        self.kept = replayed.into_iter().filter(|(seq, _)| *seq > self.released).collect();
        wal
    }

    fn record(&mut self) -> Record<u32> {
        let number = self.attempted;
        self.attempted += 1;
        let payload = Bytes::from(format!("{number:0width$}", width = 1 + self.random.index(100)));
        Record { tenant: TenantId::single(), format: 1, payload, attachment: number }
    }

    fn append_some(&mut self, wal: &Wal<u32>) {
        let records: Vec<_> = (0..=self.random.below(4)).map(|_| self.record()).collect();
        let appends = records.into_iter().map(|record| async {
            let number = record.attachment;
            wal.append(record).await.ok().map(|seq| (seq, number))
        });
        let mut acknowledged: Vec<_> = block_on(join_all(appends)).into_iter().flatten().collect();
        acknowledged.sort_unstable();
        self.kept.extend(acknowledged);
    }

    fn release(&mut self, wal: &Wal<u32>) {
        if self.kept.is_empty() {
            return;
        }
        let through = self.random.pick(&self.kept).0;
        // A failed release has deleted a part, or nothing.
        let _ = wal.release(through);
        self.released = self.released.max(through);
        self.kept.retain(|(seq, _)| *seq > through);
    }

    fn sizes(&self) -> BTreeMap<PathBuf, usize> {
        let size = |path: PathBuf| (path.clone(), std::fs::metadata(path).expect("there").len() as usize);
        segments(self.dir.path()).into_iter().map(size).collect()
    }

    /// Bytes that were not durable come out whole, in part, as zeros, or as anything; a new file may be gone.
    fn cut_power(&self, durable: &BTreeMap<PathBuf, usize>) {
        for path in segments(self.dir.path()) {
            let bytes = std::fs::read(&path).expect("readable");
            // A file without a whole header was not in use yet.
            let from = match durable.get(&path).filter(|size| **size >= format::HEADER_BYTES) {
                Some(size) => *size,
                None if self.random.chance(25) => {
                    std::fs::remove_file(&path).expect("removed");
                    continue;
                }
                None if self.random.chance(50) => 0,
                None => format::HEADER_BYTES,
            };
            let Some((safe, unsafe_end)) = bytes.split_at_checked(from).filter(|(_, end)| !end.is_empty())
            else {
                continue;
            };
            // The header is synced before anything is written behind it.
            let most = if from == 0 { format::HEADER_BYTES.min(unsafe_end.len()) } else { unsafe_end.len() };
            let left = self.garble(&unsafe_end[..most]);
            std::fs::write(&path, [safe, &left].concat()).expect("written");
        }
    }

    fn garble(&self, bytes: &[u8]) -> Vec<u8> {
        let kept = self.random.index(bytes.len() + 1);
        match self.random.below(4) {
            0 => bytes.to_vec(),
            1 => bytes[..kept].to_vec(),
            2 => [&bytes[..kept], &vec![0; bytes.len() - kept]].concat(),
            _ => [&bytes[..kept], &self.random.bytes(bytes.len() - kept)].concat(),
        }
    }
}
