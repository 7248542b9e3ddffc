//! Brings the mesh's spans into the server, in process.

use std::sync::Arc;
use std::time::Duration;

use prost::Message;
use vivace_base::{Clock, Retry};
use vivace_model::TenantId;

use super::error::DemoError;
use super::generator::{Batch, Generator, LONGEST_TRACE};
use super::progress::Progress;
use crate::backend::Backend;
use crate::query_cli::Terminal;

/// Traces in one batch.
const BATCH: u64 = 50;
/// A batch that is refused for lack of room is sent again, this often, this much later at most.
const ATTEMPTS: usize = 60;
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// How often the live mesh reports, as a batch span processor would.
const LIVE_PERIOD: Duration = Duration::from_millis(500);

/// Feeds traces in the order of their numbers.
#[derive(Debug)]
pub(super) struct Feeder {
    generator: Generator,
    backend: Arc<dyn Backend>,
    clock: Arc<dyn Clock>,
    tenant: TenantId,
    next: u64,
    spans: u64,
    reviewed: u64,
}

impl Feeder {
    pub(super) fn new(generator: Generator, backend: Arc<dyn Backend>, clock: Arc<dyn Clock>) -> Self {
        let tenant = TenantId::single();
        Self { generator, backend, clock, tenant, next: 0, spans: 0, reviewed: 0 }
    }

    /// Traces fed so far in which a proxy of reviews reported; these are what Kiali's query for reviews must find.
    pub(super) fn reviewed(&self) -> u64 {
        self.reviewed
    }

    /// Feeds `length` nanoseconds of mesh life, as fast as the server takes it.
    pub(super) async fn history(&mut self, length: u64, terminal: &Terminal) -> Result<(), DemoError> {
        let total = self.generator.traces_in(length).max(1);
        let mut progress = Progress::new(*terminal, self.clock.monotonic(), total);
        while self.next < total {
            self.batch(total).await?;
            progress.show(self.next, self.spans, self.clock.monotonic())?;
        }
        Ok(())
    }

    /// Feeds each trace once it is over. Ends only with an error.
    pub(super) async fn live(&mut self) -> Result<(), DemoError> {
        loop {
            let over = self.generator.traces_before(self.clock.now().saturating_sub(LONGEST_TRACE));
            while self.next < over {
                self.batch(over).await?;
            }
            tokio::time::sleep(LIVE_PERIOD).await;
        }
    }

    async fn batch(&mut self, end: u64) -> Result<(), DemoError> {
        let numbers = self.next..end.min(self.next + BATCH);
        for _ in 1..ATTEMPTS {
            // made anew for each attempt, which is the same again and cheaper than a copy for each batch
            let Batch { request, spans, reviewed } = self.generator.batch(numbers.clone());
            let body = request.encode_to_vec().into();
            match self.backend.export(&self.tenant, body).await.map_err(|e| (e.kind().retry(), e)) {
                Ok(accepted) if accepted.rejected() == 0 => {
                    self.next = numbers.end;
                    self.spans += spans;
                    self.reviewed += reviewed;
                    return Ok(());
                }
                Ok(accepted) => {
                    let count = accepted.rejected();
                    return Err(DemoError::Rejected { count, message: accepted.message });
                }
                Err((Retry::Never, error)) => return Err(error.into()),
                Err((Retry::After(pause), _)) => tokio::time::sleep(pause.min(LONGEST_PAUSE)).await,
            }
        }
        Err(DemoError::Overloaded)
    }
}
