//! One request on its way through the mesh: the clock it runs on, its randomness, and the spans it leaves.

use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{Span, Status};
use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;
use vivace_base::UnixNanos;

use super::mesh::Reporter;

pub(super) const MICROSECOND: u64 = 1_000;
pub(super) const MILLISECOND: u64 = 1_000_000;
pub(super) const SECOND: u64 = 1_000_000_000;

/// The id of a span; empty for none.
pub(super) type SpanIdBytes = Vec<u8>;

/// A span and who reports it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Recorded {
    /// Index into the mesh's pods.
    pub(super) pod: usize,
    pub(super) reporter: Reporter,
    /// Instrumentation scope and its version.
    pub(super) scope: (&'static str, &'static str),
    pub(super) span: Span,
}

/// What comes back from a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) end: UnixNanos,
    /// HTTP status; 0 when the caller went away first.
    pub(super) status: u16,
    /// Bytes of the body.
    pub(super) size: u64,
}

/// What the dice say about a request beyond its path. About three in a hundred go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    None,
    /// The connection to ratings is refused.
    RatingsUnreachable,
    /// The database of ratings is locked.
    RatingsDatabase,
    /// Reviews answers after its caller has given up.
    ReviewsTimeout,
    /// Details runs into a timeout of its own.
    DetailsFails,
    /// The gateway finds no healthy productpage.
    NoHealthyUpstream,
}

/// A request and its spans so far.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) trace_id: Vec<u8>,
    /// `x-request-id`, a UUID.
    pub(super) id: String,
    pub(super) user_agent: &'static str,
    pub(super) fault: Fault,
    pub(super) spans: Vec<Recorded>,
    rng: ChaCha8Rng,
}

const USER_AGENTS: [&str; 4] = [
    "Mozilla/5.0 (X11; Linux x86_64) Firefox/143.0",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 15_6) Safari/605.1",
    "curl/8.15.0",
    "Fortio.org/fortio-1.69.5",
];

impl Request {
    /// A request whose every property follows from `rng`, but for its ids: they follow from `start` too, so that two
    /// runs with one seed into one data directory make different traces.
    pub(super) fn new(mut rng: ChaCha8Rng, start: UnixNanos) -> Self {
        let trace_id = (rng.random::<u128>() ^ u128::from(start)).to_be_bytes().to_vec();
        let id = uuid(rng.random::<u128>() ^ u128::from(start));
        let user_agent = USER_AGENTS[rng.random_range(0..USER_AGENTS.len())];
        let fault = match rng.random_range(0..10_000_u32) {
            0..130 => Fault::RatingsUnreachable,
            130..190 => Fault::RatingsDatabase,
            190..250 => Fault::ReviewsTimeout,
            250..310 => Fault::DetailsFails,
            310..330 => Fault::NoHealthyUpstream,
            _ => Fault::None,
        };
        Self { trace_id, id, user_agent, fault, spans: Vec::new(), rng }
    }

    /// A fresh span id.
    pub(super) fn span_id(&mut self) -> SpanIdBytes {
        self.rng.random::<[u8; 8]>().to_vec()
    }

    /// True `percent` times in a hundred.
    pub(super) fn chance(&mut self, percent: u32) -> bool {
        self.rng.random_range(0..100) < percent
    }

    /// A whole number in `range`.
    pub(super) fn number(&mut self, range: std::ops::Range<u64>) -> u64 {
        self.rng.random_range(range)
    }

    /// A time that is mostly near `median` and now and then several times that: log-normal, sigma 0.45.
    pub(super) fn around(&mut self, median: u64) -> u64 {
        // twelve uniform numbers add up to a normal one of variance 1
        let normal: f64 = (0..12).map(|_| self.rng.random::<f64>()).sum::<f64>() - 6.0;
        (median as f64 * (0.45 * normal).exp()) as u64
    }

    /// A long tail: at least `least`, twice that one time in four, at most eight times that.
    pub(super) fn tail(&mut self, least: u64) -> u64 {
        let uniform = self.rng.random::<f64>().max(1.0 / 64.0);
        (least as f64 / uniform.sqrt()) as u64
    }

    /// A span of this request with nothing but its place and time.
    pub(super) fn bare_span(&self, id: SpanIdBytes, parent: &[u8], start: UnixNanos, end: UnixNanos) -> Span {
        Span {
            trace_id: self.trace_id.clone(),
            span_id: id,
            parent_span_id: parent.to_vec(),
            start_time_unix_nano: start,
            end_time_unix_nano: end,
            // sampled
            flags: 1,
            status: Some(Status::default()),
            ..Span::default()
        }
    }
}

/// An error status with its message.
pub(super) fn failure(message: &str) -> Option<Status> {
    Some(Status { message: message.to_owned(), code: StatusCode::Error.into() })
}

/// Version 4, from random bits.
fn uuid(bits: u128) -> String {
    let bits = bits & !(0xf << 76) & !(0x3 << 62) | (0x4 << 76) | (0x2 << 62);
    let hex = format!("{bits:032x}");
    let (a, rest) = hex.split_at(8);
    let (b, rest) = rest.split_at(4);
    let (c, rest) = rest.split_at(4);
    let (d, e) = rest.split_at(4);
    format!("{a}-{b}-{c}-{d}-{e}")
}
