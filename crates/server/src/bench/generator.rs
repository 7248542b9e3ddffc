//! The mesh's spans as OTLP bytes. A data set is cut into batches, and every batch can be made by itself: time is cut
//! into slots, whose events follow from the seed and the slot's number alone, and a batch holds what the mesh's
//! exporters flush during one slot: each flushes at its own moment, so that a batch has the rest of the slot before
//! and the beginning of its own, and a trace's spans land in neighbouring batches.

mod encode;
mod mesh;
mod protobuf;
mod random;
mod simulate;
mod wide;

use bytes::Bytes;
use clap::ValueEnum;
use serde::Serialize;
use vivace_base::UnixNanos;

use encode::{Encoder, Item, is_proxy, trace_id};
use mesh::Mesh;
use protobuf::Writer;
use random::{Random, hash, uuid};
use simulate::{Draft, GiantPart, Slot, SlotTime, trace_draft};
use wide::WideKeys;

/// What the spans are like, and how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Profile {
    /// 20 thousand spans over 10 minutes
    Small,
    /// 2.6 million spans over 6 hours
    Mesh,
    /// 52 million spans over 5 days, as many a second as mesh
    Large,
    /// As mesh, with 10 thousand distinct attribute keys
    Wide,
    /// Three traces of about 100 thousand, 300 thousand and a million spans among ordinary ones
    Giant,
}

impl Profile {
    /// Spans unless somebody says otherwise, and spans a second of the mesh's time.
    fn scale(self) -> (u64, f64) {
        let mesh = 2_600_000.0 / (6.0 * 3600.0);
        match self {
            Self::Small => (20_000, 20_000.0 / 600.0),
            Self::Mesh | Self::Wide => (2_600_000, mesh),
            Self::Large => (52_000_000, mesh),
            Self::Giant => (1_600_000, 4_000.0),
        }
    }
}

/// Traces that start in a slot, beside giants: about a thousand spans.
const TRACES: u64 = 74;
/// The same beside a giant's part.
const TRACES_BESIDE_GIANT: u64 = 9;
/// Spans of a giant in a slot.
const GIANT_PART: usize = 875;
/// Sizes of the giant traces in proportion.
const GIANTS: [u64; 3] = [1, 3, 10];
/// Slots that are simulated to know how many spans one has.
const SAMPLED_SLOTS: u64 = 24;
const SECOND: f64 = 1e9;

/// A data set.
#[derive(Debug)]
pub(crate) struct Generator {
    mesh: Mesh,
    wide: Option<WideKeys>,
    profile: Profile,
    seed: u64,
    /// When the first slot starts.
    origin: UnixNanos,
    slots: u64,
    /// Nanoseconds.
    width: u64,
    spans_per_slot: f64,
}

/// A request's worth of spans.
#[derive(Debug, Clone)]
pub(crate) struct Batch {
    /// `ExportTraceServiceRequest`
    pub(crate) bytes: Bytes,
    pub(crate) spans: u64,
}

/// Memory for making batches; each client has its own.
#[derive(Debug, Default)]
pub(crate) struct Workspace {
    slot: Slot,
    items: Vec<Item>,
    out: Writer,
    scratch: String,
}

/// A trace that is in the data set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KnownTrace {
    /// 32 hex digits.
    pub(crate) id: String,
    /// The value of `guid:x-request-id` on its proxies' spans.
    pub(crate) request_id: String,
}

impl Generator {
    /// The data set of `profile` and `seed` that ends at `end`; `spans` replaces the profile's own number.
    pub(crate) fn new(profile: Profile, seed: u64, spans: Option<u64>, end: UnixNanos) -> Self {
        let mesh = Mesh::new();
        let wide = (profile == Profile::Wide).then(|| WideKeys::new(&mesh));
        let (usual, rate) = profile.scale();
        let mut generator = Self {
            mesh,
            wide,
            profile,
            seed,
            origin: 0,
            slots: 1,
            width: 1_000_000_000,
            spans_per_slot: 0.0,
        };
        let each = generator.sample_slots();
        generator.spans_per_slot = each;
        generator.slots = ((spans.unwrap_or(usual) as f64 / each).round() as u64).max(1);
        generator.width = (each / rate * SECOND) as u64;
        generator.origin = end.saturating_sub(generator.slots.saturating_mul(generator.width));
        generator
    }

    /// How many batches there are.
    pub(crate) fn batches(&self) -> u64 {
        // the last holds what the last slot's exporters still have
        self.slots + 1
    }

    /// Spans of a batch, on average.
    pub(crate) fn batch_spans(&self) -> f64 {
        self.slots as f64 * self.spans_per_slot / self.batches() as f64
    }

    /// When the first trace starts.
    pub(crate) fn start(&self) -> UnixNanos {
        self.origin
    }

    /// When the last trace starts.
    pub(crate) fn end(&self) -> UnixNanos {
        self.origin + self.slots * self.width
    }

    /// Makes one batch.
    pub(crate) fn batch(&self, number: u64, workspace: &mut Workspace) -> Batch {
        let Workspace { slot, items, out, scratch } = workspace;
        items.clear();
        out.clear();
        for (slot_number, late) in [(number.checked_sub(1), true), (Some(number), false)] {
            let Some(slot_number) = slot_number.filter(|number| *number < self.slots) else { continue };
            self.simulate(slot_number, slot);
            let flushed = slot.drafts.iter().filter(|draft| self.is_late(draft, slot_number) == late);
            items.extend(
                flushed.map(|draft| Item { draft: *draft, trace: slot.traces[draft.trace as usize] }),
            );
        }
        Encoder { mesh: &self.mesh, wide: self.wide.as_ref(), out, scratch }.request(items);
        Batch { bytes: Bytes::copy_from_slice(out), spans: items.len() as u64 }
    }

    /// Traces from evenly spread moments, `count` of them at most.
    pub(crate) fn known_traces(&self, count: u64) -> Vec<KnownTrace> {
        let mut slot = Slot::default();
        let count = count.min(self.slots);
        let known = |number: u64| {
            self.simulate((2 * number + 1) * self.slots / (2 * count), &mut slot);
            slot.traces
                .first()
                .map(|trace| KnownTrace { id: hex::encode(trace_id(trace)), request_id: uuid(trace.request) })
        };
        (0..count).filter_map(known).collect()
    }

    /// Ids of the giant traces; none but in that profile.
    pub(crate) fn giants(&self) -> Vec<String> {
        let known = |number: usize| hex::encode(trace_id(&self.giant_trace(number).0));
        if self.profile == Profile::Giant { (0..GIANTS.len()).map(known).collect() } else { Vec::new() }
    }

    fn simulate(&self, number: u64, slot: &mut Slot) {
        let time =
            SlotTime { seed: self.seed, number, start: self.origin + number * self.width, width: self.width };
        let giant = self.giant_part(number);
        let traces = if giant.is_some() { TRACES_BESIDE_GIANT } else { TRACES };
        slot.simulate(&self.mesh, time, traces, giant);
    }

    /// Whether its exporter had flushed before the span ended.
    fn is_late(&self, draft: &Draft, slot: u64) -> bool {
        let phase = hash(draft.pod as u64, 2 + u64::from(is_proxy(draft.role))) % self.width.max(1);
        draft.end >= self.origin + slot * self.width + phase
    }

    fn giant_part(&self, slot: u64) -> Option<GiantPart> {
        if self.profile != Profile::Giant {
            return None;
        }
        let total: u64 = GIANTS.iter().sum();
        let mut before = 0;
        for (number, share) in GIANTS.iter().enumerate() {
            let (from, to) = (before * self.slots / total, (before + share) * self.slots / total);
            if (from..to).contains(&slot) {
                let (trace, root) = self.giant_trace(number);
                let start = self.origin + from * self.width;
                let end = (slot + 1 == to).then(|| self.origin + to * self.width);
                return Some(GiantPart { trace, root, start, end, spans: GIANT_PART });
            }
            before += share;
        }
        None
    }

    fn giant_trace(&self, number: usize) -> (simulate::TraceDraft, u64) {
        let mut random = Random::new(self.seed, u64::MAX - number as u64);
        (trace_draft(&mut random), random.bits() | 1)
    }

    fn sample_slots(&self) -> f64 {
        let mut slot = Slot::default();
        let spans = |number: u64| {
            let time = SlotTime { seed: self.seed, number, start: 0, width: self.width };
            slot.simulate(&self.mesh, time, TRACES, None);
            slot.drafts.len()
        };
        let total: usize = (0..SAMPLED_SLOTS).map(spans).sum();
        let ordinary = total as f64 / SAMPLED_SLOTS as f64;
        if self.profile == Profile::Giant {
            return GIANT_PART as f64 + ordinary * TRACES_BESIDE_GIANT as f64 / TRACES as f64;
        }
        ordinary
    }
}

#[cfg(test)]
mod tests;
