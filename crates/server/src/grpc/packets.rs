//! Answers in pieces that a client's gRPC library takes by default, and without what the client has already.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::iter::Peekable;

use prost::Message;

/// The most bytes of one message (`reference/tempo.md` 3); a single thing that is larger goes alone.
const MAX_BYTES: usize = 1 << 20;
/// Bytes kept free for what the list's entries do not count: scopes that are continued, status, lengths.
const SPARE: usize = 256;

/// The entries of a list, made one by one.
pub(crate) type Items<T> = Box<dyn Iterator<Item = T> + Send>;

/// A message with one list, which can be cut anywhere and continued in the next message.
pub(crate) trait Packet: Message + Default + Clone + 'static {
    /// What the engine answers.
    type Answer: Send + 'static;
    /// An entry of the list.
    type Item: Send + 'static;

    /// Why the answer may not be complete; [`None`] when it is.
    fn partial(answer: &Self::Answer) -> Option<&str>;

    /// An answer as a message without its list, and the list.
    fn parts(answer: Self::Answer) -> (Self, Items<Self::Item>);

    /// Bytes the entry takes in the message.
    fn item_len(item: &Self::Item) -> usize;

    /// Adds an entry.
    fn push(&mut self, item: Self::Item);

    /// What of the entry has not been sent yet; [`None`] for nothing.
    fn fresh(item: Self::Item, sent: &mut Sent) -> Option<Self::Item>;

    /// Says that the answer may not be complete, where the message has a field for that.
    fn mark_partial(&mut self, _reason: &str) {}
}

/// What has been sent, as hashes. Where two collide, the one entry is not sent before the whole answer is.
#[derive(Debug, Default)]
pub(crate) struct Sent(HashSet<u64>);

impl Sent {
    /// Whether this is the first time that `item` is seen.
    pub(super) fn is_new(&mut self, item: impl Hash) -> bool {
        let mut hasher = DefaultHasher::new();
        item.hash(&mut hasher);
        self.0.insert(hasher.finish())
    }
}

/// The messages of one answer: at least one, each with the metrics, only the last with status and reason.
pub(crate) struct Packets<M: Packet> {
    frame: M,
    items: Peekable<Items<M::Item>>,
    partial: Option<String>,
    max_bytes: usize,
    done: bool,
}

impl<M: Packet> Packets<M> {
    /// All of the answer.
    pub(crate) fn of(answer: M::Answer) -> Self {
        Self::cut(answer, MAX_BYTES)
    }

    /// What of the answer has not been sent yet. It is made at once, so that nothing else is kept.
    pub(super) fn fresh(answer: M::Answer, sent: &mut Sent) -> Self {
        let packets = Self::of(answer);
        let fresh: Vec<M::Item> = packets.items.filter_map(|item| M::fresh(item, sent)).collect();
        let items: Items<M::Item> = Box::new(fresh.into_iter());
        Self { items: items.peekable(), ..packets }
    }

    fn cut(answer: M::Answer, max_bytes: usize) -> Self {
        let partial = M::partial(&answer).map(str::to_owned);
        let (frame, items) = M::parts(answer);
        Self { frame, items: items.peekable(), partial, max_bytes, done: false }
    }

    /// Why the answer may not be complete.
    pub(super) fn partial(&self) -> Option<&str> {
        self.partial.as_deref()
    }
}

/// All of the answer as one message.
pub(crate) fn whole<M: Packet>(answer: M::Answer) -> M {
    Packets::cut(answer, usize::MAX).next().unwrap_or_default()
}

impl<M: Packet> Iterator for Packets<M> {
    type Item = M;

    fn next(&mut self) -> Option<M> {
        if self.done {
            return None;
        }
        let mut packet = self.frame.clone();
        let fixed = packet.encoded_len() + self.partial.as_ref().map_or(0, String::len) + SPARE;
        let mut room = self.max_bytes.saturating_sub(fixed);
        let mut first = true;
        while let Some(item) = self.items.next_if(|item| first || M::item_len(item) <= room) {
            room = room.saturating_sub(M::item_len(&item));
            first = false;
            packet.push(item);
        }
        if self.items.peek().is_none() {
            self.done = true;
            if let Some(reason) = &self.partial {
                packet.mark_partial(reason);
            }
        }
        Some(packet)
    }
}

#[cfg(test)]
mod tests;
