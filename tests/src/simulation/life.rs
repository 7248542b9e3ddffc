//! Lives of processes.

use std::time::Duration;

use futures::future::join_all;
use vivace_base::Clock;
use vivace_testkit::Fault;

use super::process::Process;
use super::world::{Options, World};

/// How many calls a life has time for at most.
const LONGEST_LIFE: u64 = 250;
/// How often a start is tried until whoever watches over the server heals what fails.
const STARTS: u64 = 4;

/// How a process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// What it wrote stays in the system's memory.
    Kill,
    /// The power goes with it.
    PowerCut,
    /// It is killed, another one reads what is there, and then the power goes.
    KillThenPowerCut,
}

/// A run.
pub struct Simulation {
    world: World,
}

impl Simulation {
    /// The run that belongs to `seed`.
    pub fn new(seed: u64, options: Options) -> Self {
        Self { world: World::new(seed, options) }
    }

    /// Runs it to its end.
    ///
    /// # Panics
    /// When something is lost, invented, there twice, or left over.
    pub async fn run(&mut self) {
        for _ in 0..self.world.options.lives {
            self.live().await;
        }
        self.come_to_rest().await;
    }

    /// What was sent in how many batches, and how many of them were acknowledged.
    pub fn sent(&self) -> (usize, usize) {
        let batches = &self.world.ledger.batches;
        (batches.len(), batches.iter().filter(|batch| batch.acknowledged).count())
    }

    /// A short life that ends at its call number `calls`, and what comes after it. Whether it ended there: no longer once
    /// `calls` is more than all there are.
    ///
    /// # Panics
    /// As [`Simulation::run`].
    pub async fn crash_at(&mut self, calls: u64, last: Fault, end: End) -> bool {
        let world = &mut self.world;
        world.retention = None;
        world.note(format!("a crash after {calls} calls, {last:?}, {end:?}"));
        world.fuse.blow_after(calls, last);
        world.short_life().await;
        let crashed = world.fuse.has_blown();
        world.fuse.blow();
        world.end(end == End::PowerCut).await;
        if end == End::KillThenPowerCut {
            let process = world.restart().await;
            world.fuse.blow();
            drop(process);
            world.end(true).await;
        }
        let process = world.restart().await;
        // What was refused is sent again, while the late writes of the life before land.
        let again = world.ledger.refused_batch(&world.random);
        world.store.land_late_writes().await;
        world.send_batches(&process, again.into_iter().collect()).await;
        process.ingest.flush().await.expect("blocks are stored");
        world.audit(&process).await;
        drop(process);
        self.come_to_rest().await;
        crashed
    }

    async fn live(&mut self) {
        let world = &mut self.world;
        world.draw_faults();
        if world.random.chance(70) {
            let last = *world.random.pick(&[Fault::BeforeEffect, Fault::AfterEffect, Fault::Late]);
            let calls = world.random.below(LONGEST_LIFE);
            world.fuse.blow_after(calls, last);
            world.note(format!("a life of {calls} calls, then {last:?}"));
        } else {
            world.note("a life");
        }
        let Some(process) = world.start().await else { return world.crash().await };
        world.audit(&process).await;
        for _ in 0..world.random.below(world.options.steps) {
            if world.fuse.has_blown() {
                break;
            }
            world.step(&process).await;
        }
        world.audit(&process).await;
        if !world.fuse.has_blown() && world.random.chance(30) {
            // Tries to cut what is left, and may fail.
            world.note(format!("shutdown: {:?}", process.ingest.shutdown().await));
        }
        world.fuse.blow();
        drop(process);
        world.crash().await;
    }

    /// Nothing fails any more: everything is cut, merged, dropped and deleted that is to be.
    async fn come_to_rest(&mut self) {
        let world = &mut self.world;
        world.heal();
        world.store.land_late_writes().await;
        let process = world.restart().await;
        // Numbers that were given to nobody are covered by a later one.
        world.send(&process).await;
        process.ingest.flush().await.expect("blocks are stored");
        assert_eq!(process.ingest.stats().head_spans(), 0);
        world.settle(&process, Duration::from_secs(6 * 3600)).await;
        world.audit(&process).await;
        world.prune(&process).await;
        world.check_garbage().await;
        world.check_log(&process).await;
        if let Some(retention) = world.retention {
            world.settle(&process, retention * 2).await;
            world.check_garbage().await;
            world.audit(&process).await;
            let left = world.ledger.batches.iter().filter(|batch| batch.seen && !batch.gone).count();
            assert_eq!(left, 0, "batches are kept longer than they should be");
        }
        process.ingest.shutdown().await.expect("a clean shutdown");
    }
}

impl World {
    /// Tries until the server runs; [`None`] when it died of it.
    async fn start(&self) -> Option<Process> {
        for attempt in 1.. {
            match Process::start(self).await {
                Ok(process) => {
                    let stats = process.ingest.stats();
                    self.note(format!(
                        "started with {} spans in the head, {}",
                        stats.head_spans(),
                        self.disk()
                    ));
                    return Some(process);
                }
                Err(_) if self.fuse.has_blown() => return None,
                Err(error) => {
                    self.note(format!("start failed: {error}"));
                    assert!(attempt <= STARTS, "a healthy server does not start: {error}");
                    if attempt == STARTS {
                        self.heal();
                    }
                    self.fuse.blow();
                    self.crash().await;
                }
            }
        }
        None
    }

    /// Starts while nothing fails.
    async fn restart(&mut self) -> Process {
        let process = Process::start(self).await.expect("a healthy server starts");
        let stats = process.ingest.stats();
        self.note(format!("started with {} spans in the head, {}", stats.head_spans(), self.disk()));
        self.audit(&process).await;
        process
    }

    /// Everything that a server does, once.
    async fn short_life(&mut self) {
        let Ok(process) = Process::start(self).await else { return };
        for cut in 0..2 {
            self.send(&process).await;
            if cut > 0 {
                self.send(&process).await;
            }
            self.note(format!("flush: {:?}", process.ingest.flush().await));
        }
        self.send(&process).await;
        self.clock.advance(Duration::from_secs(5000));
        for _ in 0..2 {
            process.compactor.round().await;
            self.clock.advance(Duration::from_secs(700));
        }
        self.audit(&process).await;
    }

    /// The process is gone; the machine stays, or its power goes too.
    async fn crash(&self) {
        self.end(self.random.chance(50)).await;
    }

    async fn end(&self, power_cut: bool) {
        if power_cut {
            self.note("power cut");
            self.files.cut_power();
        } else {
            self.note("killed");
            self.files.kill();
        }
        if self.random.chance(50) {
            self.note("late writes land");
            self.store.land_late_writes().await;
        }
        self.fuse.replace();
        self.note(format!("left: {}", self.disk()));
    }

    fn disk(&self) -> String {
        let files = self.files.contents().into_iter();
        let files = files.map(|(path, bytes)| format!("{} of {}", path.display(), bytes.len()));
        files.collect::<Vec<_>>().join(", ")
    }

    async fn step(&mut self, process: &Process) {
        match self.random.below(100) {
            0..50 => self.send(process).await,
            50..65 => {
                // What cannot be stored stays in the head.
                self.note(format!("flush: {:?}", process.ingest.flush().await));
            }
            65..77 => {
                self.note(format!("compaction: busy {}", process.compactor.round().await));
            }
            77..87 => {
                let most = *self.random.pick(&[10, 600, 3600]);
                self.advance(Duration::from_secs(self.random.below(most))).await;
            }
            87..91 => self.draw_faults(),
            91..94 => {
                self.note("late writes land");
                self.store.land_late_writes().await;
            }
            94..97 => self.refresh(process).await,
            _ => self.audit(process).await,
        }
    }

    pub(super) async fn send(&mut self, process: &Process) {
        let count = if self.options.concurrent { 1 + self.random.index(4) } else { 1 };
        let mut sent = Vec::new();
        for _ in 0..count {
            let again = self.random.chance(15).then(|| self.ledger.refused_batch(&self.random)).flatten();
            let at = again.unwrap_or_else(|| self.ledger.new_batch(&self.random, self.clock.now()));
            if !sent.contains(&at) {
                sent.push(at);
            }
        }
        self.send_batches(process, sent).await;
    }

    async fn send_batches(&mut self, process: &Process, sent: Vec<usize>) {
        let exports = sent.iter().map(|at| {
            let batch = &self.ledger.batches[*at];
            process.ingest.export(&batch.tenant, batch.request.clone())
        });
        let answers = join_all(exports).await;
        for (at, answer) in sent.into_iter().zip(answers) {
            let outcome = answer.as_ref().map(|accepted| accepted.accepted).map_err(ToString::to_string);
            self.note(format!("batch {at} for {}: {outcome:?}", self.ledger.batches[at].tenant));
            let batch = &mut self.ledger.batches[at];
            batch.attempts += 1;
            batch.sent = self.clock.now();
            batch.gone = false;
            if let Ok(accepted) = answer {
                assert_eq!(accepted.accepted, batch.names.len() as u64, "{}", accepted.message);
                batch.acknowledged = true;
            }
        }
    }

    async fn refresh(&self, process: &Process) {
        for tenant in &self.ledger.tenants {
            if let Ok(Some(catalog)) = process.catalogs.get(tenant) {
                // The known snapshot stays when it fails.
                let _ = catalog.refresh().await;
            }
        }
    }

    /// A snapshot may have come so late that its version had been deleted already: commits of whoever opens the catalog
    /// anew delete it.
    async fn prune(&self, process: &Process) {
        for tenant in &self.ledger.tenants {
            let catalog = process.catalogs.get_or_create(tenant).await.expect("the catalog opens");
            for _ in 0..4 {
                catalog.fence().await.expect("the store works");
            }
        }
    }

    /// Time goes on, and compaction with it.
    async fn settle(&mut self, process: &Process, time: Duration) {
        const STEPS: u32 = 10;
        for _ in 0..STEPS {
            while process.compactor.round().await {}
            self.advance(time / STEPS).await;
        }
        while process.compactor.round().await {}
    }

    /// What is in blocks is not in the log.
    async fn check_log(&self, process: &Process) {
        let stats = process.ingest.wal_stats();
        assert_eq!(stats.segments, 1, "covered segments are left: {}", self.disk());
    }
}
