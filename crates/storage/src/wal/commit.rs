use std::pin::pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use futures::future::{Either, select};
use tokio::sync::{mpsc, oneshot};

use super::{CommitSink, Record, Seq, Shared};
use crate::WalError;

/// A record and who waits for it.
#[derive(Debug)]
pub(super) struct Pending<T> {
    pub(super) record: Record<T>,
    pub(super) reply: oneshot::Sender<Result<Seq, WalError>>,
}

/// The commit thread's work: take what is waiting, write it, sync once, hand it on.
pub(super) struct Committer<S> {
    shared: Arc<Shared>,
    sink: S,
    batch_bytes: u64,
}

impl<S> Committer<S> {
    pub(super) fn new(shared: Arc<Shared>, sink: S, batch_bytes: u64) -> Self {
        Self { shared, sink, batch_bytes }
    }

    /// Until the queue is closed and empty.
    pub(super) fn run<T>(mut self, mut queue: mpsc::Receiver<Pending<T>>, mut closed: oneshot::Receiver<()>)
    where
        S: CommitSink<T>,
    {
        while let Some(first) = futures::executor::block_on(next(&mut queue, &mut closed)) {
            let group = self.gather(first, &mut queue);
            self.commit(group);
        }
    }

    fn gather<T>(&self, first: Pending<T>, queue: &mut mpsc::Receiver<Pending<T>>) -> Vec<Pending<T>> {
        let mut bytes = first.record.payload.len() as u64;
        let mut group = vec![first];
        while bytes < self.batch_bytes && group.len() < queue.max_capacity() {
            let Ok(next) = queue.try_recv() else { break };
            bytes += next.record.payload.len() as u64;
            group.push(next);
        }
        group
    }

    fn commit<T>(&mut self, group: Vec<Pending<T>>)
    where
        S: CommitSink<T>,
    {
        let committed = {
            let mut log = self.shared.log.lock().unwrap_or_else(PoisonError::into_inner);
            let records =
                group.iter().map(|p| (p.record.format, &p.record.tenant, p.record.payload.as_ref()));
            let committed = log.commit(records);
            self.shared.publish(log.stats());
            committed
        };
        match committed {
            Ok(first) => (first..).zip(group).for_each(|(seq, pending)| self.hand_on(seq, pending)),
            Err(error) => {
                tracing::error!(%error, records = group.len(), "records refused: the write-ahead log cannot be written");
                for pending in group {
                    // Nobody may be waiting any more.
                    let _ = pending.reply.send(Err(error.clone()));
                }
            }
        }
    }

    fn hand_on<T>(&mut self, seq: Seq, Pending { record, reply }: Pending<T>)
    where
        S: CommitSink<T>,
    {
        self.sink.committed(seq, &record.tenant, record.attachment);
        self.shared.last_committed.store(seq, Ordering::Release);
        // Nobody may be waiting any more.
        let _ = reply.send(Ok(seq));
    }
}

/// The next record. After the signal to close nothing more is let into the queue, and what is in it still comes out.
async fn next<T>(
    queue: &mut mpsc::Receiver<Pending<T>>,
    closed: &mut oneshot::Receiver<()>,
) -> Option<Pending<T>> {
    if !closed.is_terminated() {
        match select(&mut *closed, pin!(queue.recv())).await {
            Either::Left(_) => {}
            Either::Right((next, _)) => return next,
        }
        queue.close();
    }
    queue.recv().await
}
