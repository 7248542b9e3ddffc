//! Loads the data set: some clients take one batch after the other, make it, and send it until the server takes it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::task::JoinSet;
use vivace_base::Clock;

use super::error::BenchError;
use super::generator::{Generator, Workspace};
use super::send::{Outcome, Sender};

/// A batch that is not taken for so long ends the benchmark.
const PATIENCE: Duration = Duration::from_secs(600);
const PROGRESS: Duration = Duration::from_secs(2);

/// What the clients did so far.
#[derive(Debug, Default)]
pub(super) struct Counters {
    next_batch: AtomicU64,
    pub(super) spans: AtomicU64,
    pub(super) bytes: AtomicU64,
    pub(super) rejected: AtomicU64,
    /// Times a batch was to be sent again.
    pub(super) pushed_back: AtomicU64,
    /// Microseconds that clients waited because of that.
    pub(super) waited: AtomicU64,
}

/// How to load.
#[derive(Debug, Clone)]
pub(super) struct Load {
    pub(super) generator: Arc<Generator>,
    pub(super) sender: Sender,
    pub(super) clients: usize,
    /// Spans a second; as fast as it goes without.
    pub(super) rate: Option<f64>,
    pub(super) clock: Arc<dyn Clock>,
}

impl Load {
    /// Sends everything; tells how far it is on standard error.
    pub(super) async fn run(&self) -> Result<Arc<Counters>, BenchError> {
        let counters = Arc::new(Counters::default());
        let started = self.clock.monotonic();
        let mut clients = JoinSet::new();
        for _ in 0..self.clients {
            let (load, counters) = (self.clone(), Arc::clone(&counters));
            clients.spawn(async move { load.client(&counters, started).await });
        }
        let mut ticks = tokio::time::interval(PROGRESS);
        loop {
            tokio::select! {
                ended = clients.join_next() => match ended {
                    None => break,
                    Some(Ok(outcome)) => outcome?,
                    Some(Err(error)) => return Err(BenchError::Refused(error.to_string())),
                },
                _ = ticks.tick() => self.progress(&counters, started),
            }
        }
        self.progress(&counters, started);
        Ok(counters)
    }

    async fn client(&self, counters: &Counters, started: Duration) -> Result<(), BenchError> {
        let mut workspace = Workspace::default();
        let mut sender = self.sender.clone();
        loop {
            let number = counters.next_batch.fetch_add(1, Relaxed);
            if number >= self.generator.batches() {
                return Ok(());
            }
            let batch = self.generator.batch(number, &mut workspace);
            if let Some(rate) = self.rate {
                let due =
                    started + Duration::from_secs_f64(number as f64 * self.generator.batch_spans() / rate);
                tokio::time::sleep(due.saturating_sub(self.clock.monotonic())).await;
            }
            self.deliver(&mut sender, counters, batch.bytes.clone()).await?;
            counters.spans.fetch_add(batch.spans, Relaxed);
            counters.bytes.fetch_add(batch.bytes.len() as u64, Relaxed);
        }
    }

    async fn deliver(
        &self,
        sender: &mut Sender,
        counters: &Counters,
        batch: bytes::Bytes,
    ) -> Result<(), BenchError> {
        let began = self.clock.monotonic();
        loop {
            match sender.send(batch.clone()).await? {
                Outcome::Taken { rejected: 0, .. } => return Ok(()),
                Outcome::Taken { rejected, message } => {
                    if counters.rejected.fetch_add(rejected, Relaxed) == 0 {
                        eprintln!("the server rejects spans: {message}");
                    }
                    return Ok(());
                }
                Outcome::Later { wait, message } => {
                    if self.clock.monotonic() - began > PATIENCE {
                        return Err(BenchError::Overloaded { seconds: PATIENCE.as_secs(), message });
                    }
                    counters.pushed_back.fetch_add(1, Relaxed);
                    counters.waited.fetch_add(wait.as_micros() as u64, Relaxed);
                    tokio::time::sleep(wait).await;
                }
            }
        }
    }

    fn progress(&self, counters: &Counters, started: Duration) {
        let spans = counters.spans.load(Relaxed);
        let took = (self.clock.monotonic() - started).as_secs_f64();
        let rate = spans as f64 / took.max(1e-3);
        let total = self.generator.batches() as f64 * self.generator.batch_spans();
        let left = (total - spans as f64).max(0.0) / rate.max(1.0);
        let pushed_back = counters.pushed_back.load(Relaxed);
        eprintln!(
            "loading: {spans} spans, {rate:.0}/s, {:.0} %, {left:.0} s left, pushed back {pushed_back} times",
            (100.0 * spans as f64 / total).min(100.0)
        );
    }
}
