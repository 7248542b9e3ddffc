//! Bytes that change on disk or in the store: never a panic, and never a wrong answer that is not marked or reported.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use vivace_base::{ByteSize, MemoryBudget};
use vivace_query::{MetricsRequest, MetricsWindow};
use vivace_storage::check::{CheckContext, CheckOptions, Report, check};
use vivace_testkit::{BASE_TIME, SeededRandomness};

use super::process::{Process, wal_dir};
use super::world::{Options, World};
use crate::cases::unbounded;

/// Of a segment (`docs/formats/wal.md`).
const WAL_HEADER: usize = 24;
const SECOND: u64 = 1_000_000_000;
const SEARCHES: [&str; 3] =
    ["{ }", "{ name = \"GET\" }", "{ resource.service.name = \"front\" && span.number > 20 }"];
const METRICS: [&str; 2] = ["{ } | count_over_time() by (name)", "{ } | quantile_over_time(duration, .5)"];

/// What a server left.
pub struct Corruption {
    random: SeededRandomness,
    stored: Stored,
    right: Answers,
    /// Without the newest log record, the newest two, and so on: nobody can tell them from what was never acknowledged.
    torn: Vec<Answers>,
}

#[derive(Debug, Clone)]
struct Stored {
    objects: BTreeMap<Path, Vec<u8>>,
    files: BTreeMap<PathBuf, Vec<u8>>,
}

/// What each query answers for each tenant: the answer, or why it is none, or not all.
type Answers = Vec<Result<String, String>>;

/// Where bytes are changed.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Object(Path),
    File(PathBuf),
}

impl Corruption {
    /// What a server left that ran as `seed` says: blocks, some of them merged, and a log.
    pub async fn new(seed: u64) -> Self {
        let mut world = World::new(seed, Options { lives: 0, steps: 0, concurrent: false });
        world.retention = None;
        let process = Process::start(&world).await.expect("starts");
        for _ in 0..6 {
            for _ in 0..4 {
                world.send(&process).await;
            }
            process.ingest.flush().await.expect("blocks are stored");
            process.compactor.round().await;
        }
        for _ in 0..5 {
            world.send(&process).await;
        }
        drop(process);
        let stored = Stored::of(&world).await;
        let right = stored.world().await.answers().await.expect("starts");
        let mut torn = Vec::new();
        for shorter in stored.with_torn_log() {
            torn.push(shorter.world().await.answers().await.expect("starts"));
        }
        assert!(torn.len() > 2 && !torn.contains(&right) && right.iter().all(Result::is_ok), "{right:?}");
        Self { random: world.random.part(), stored, right, torn }
    }

    /// Changes something, and looks what comes of it. Whether the answers stayed as they were.
    ///
    /// # Panics
    /// When an answer is wrong and nothing says so.
    pub async fn damage_once(&self) -> bool {
        let (place, what, damaged) = self.damaged();
        let told = format!("{place:?}: {what}");
        let world = damaged.world().await;
        let report = world.check().await;
        let is_log = matches!(place, Place::File(_));
        let Ok(answers) = world.answers().await else {
            assert!(report.damaged, "the server does not start, and nothing is found: {told}");
            return false;
        };
        let as_torn = is_log && self.torn.contains(&answers);
        for (answer, right) in answers.iter().zip(&self.right) {
            match answer {
                Ok(_) if answer == right || as_torn || is_log && report.damaged => {}
                Ok(wrong) => {
                    panic!("wrong, and nothing says so: {told}\n{wrong}\nright: {right:?}\n{report:?}")
                }
                Err(reason) => assert!(report.damaged, "{reason}, and nothing is found: {told}\n{report:?}"),
            }
        }
        if answers != self.right {
            return false;
        }
        true
    }

    fn damaged(&self) -> (Place, String, Stored) {
        let random = &self.random;
        let mut stored = self.stored.clone();
        let places: Vec<Place> = stored.places();
        let place = random.pick(&places).clone();
        let bytes = match &place {
            Place::Object(path) => stored.objects.get_mut(path),
            Place::File(path) => stored.files.get_mut(path),
        };
        let bytes = bytes.filter(|bytes| !bytes.is_empty()).expect("places have bytes");
        let at = random.index(bytes.len());
        let what = match random.below(4) {
            0 => {
                bytes.truncate(at);
                format!("cut off at {at}")
            }
            1 => {
                let end = bytes.len().min(at + 1 + random.index(600));
                bytes[at..end].fill(0);
                // Zeros may have stood there.
                bytes[at] = !self.stored.bytes(&place)[at];
                format!("{at} to {end} zeroed")
            }
            2 => {
                let end = bytes.len().min(at + 1 + random.index(40));
                let noise = random.bytes(end - at);
                bytes[at..end].copy_from_slice(&noise);
                bytes[at] = !self.stored.bytes(&place)[at];
                format!("{at} to {end} random")
            }
            _ => {
                bytes[at] ^= 1 << random.below(8);
                format!("a bit of {at} flipped")
            }
        };
        (place, what, stored)
    }
}

impl Stored {
    async fn of(world: &World) -> Self {
        let listed: Vec<_> = world.objects.list(None).try_collect().await.expect("lists");
        let mut objects = BTreeMap::new();
        for object in listed {
            let read = world.objects.get(&object.location).await.expect("there");
            objects.insert(object.location, read.bytes().await.expect("read").to_vec());
        }
        Self { objects, files: world.files.contents() }
    }

    async fn world(&self) -> World {
        let world = World::new(0, Options { lives: 0, steps: 0, concurrent: false });
        for (path, bytes) in &self.objects {
            world.objects.put(path, bytes.clone().into()).await.expect("put");
        }
        for (path, bytes) in &self.files {
            world.files.write(path, bytes);
        }
        world
    }

    fn places(&self) -> Vec<Place> {
        let objects = self.objects.keys().cloned().map(Place::Object);
        // Each kind of file as often as the others, about.
        let files = self.files.keys().cloned().cycle().take(self.files.len().max(self.objects.len() / 2));
        objects.chain(files.map(Place::File)).filter(|place| !self.bytes(place).is_empty()).collect()
    }

    fn bytes(&self, place: &Place) -> &[u8] {
        match place {
            Place::Object(path) => &self.objects[path],
            Place::File(path) => &self.files[path],
        }
    }

    /// The log, cut off before each record of its newest segment.
    fn with_torn_log(&self) -> Vec<Self> {
        let is_segment = |path: &&PathBuf| path.extension().is_some_and(|extension| extension == "wal");
        let newest = self.files.keys().rfind(is_segment).expect("a segment");
        let bytes = &self.files[newest];
        let (mut at, mut torn) = (WAL_HEADER, Vec::new());
        while at < bytes.len() {
            let mut shorter = self.clone();
            shorter.files.insert(newest.clone(), bytes[..at].to_vec());
            torn.push(shorter);
            let length = bytes[at + 4..at + 8].try_into().expect("four bytes");
            at += 8 + u32::from_le_bytes(length) as usize;
        }
        torn
    }
}

impl World {
    async fn answers(&self) -> Result<Answers, String> {
        let process = Process::start(self).await?;
        let mut answers = Vec::new();
        for tenant in &self.ledger.tenants {
            for text in SEARCHES {
                let request = unbounded(text).expect("a query");
                let request =
                    vivace_query::SearchRequest { limit: 10_000, spans_per_span_set: 10_000, ..request };
                let answer = process.engine.search(&tenant.clone().into(), &request, &mut |_| {}).await;
                answers.push(answer.map_err(|error| error.to_string()).and_then(
                    |answer| match answer.partial {
                        Some(reason) => Err(reason),
                        None => Ok(format!("{tenant} {text}: {:?}", answer.traces)),
                    },
                ));
            }
            for text in METRICS {
                let query = vivace_traceql::parse_validated(text).expect("a query");
                let (start, end) = (BASE_TIME - 10 * SECOND, BASE_TIME + 10 * SECOND);
                let window = MetricsWindow::Range { start, end, step: 5 * SECOND };
                let request = MetricsRequest { query, window, exemplars: 0, max_series: 0 };
                let answer = process.engine.metrics(&tenant.clone().into(), &request, &mut |_| {}).await;
                answers.push(answer.map_err(|error| error.to_string()).and_then(
                    |answer| match answer.partial {
                        Some(reason) => Err(reason),
                        None => Ok(format!("{tenant} {text}: {:?}", answer.series)),
                    },
                ));
            }
        }
        Ok(answers)
    }

    async fn check(&self) -> Report {
        let options =
            CheckOptions { wal_dir: Some(wal_dir()), repair: false, orphan_age: Duration::from_secs(3600) };
        let context = CheckContext {
            store: Arc::clone(&self.objects),
            files: Arc::new(self.files.clone()),
            budget: MemoryBudget::new(ByteSize::from_mib(256)),
            clock: self.clock.clone(),
            randomness: Arc::new(SeededRandomness::new(0)),
        };
        check(&options, &context, &mut |_, _, _| {}).await.expect("it can be checked")
    }
}
