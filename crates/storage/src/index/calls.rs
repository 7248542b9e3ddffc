//! Calls between services, found in the spans of a trace (`reference/tempo.md` 5.2).

use std::collections::HashMap;
use std::fmt::{self, Debug};

use ahash::RandomState;
use arrow::array::{Array, FixedSizeBinaryArray, Int8Array, Int64Array, RecordBatch, UInt64Array};
use vivace_model::schema::{self, AttributeScope};
use vivace_model::{SpanKind, StatusCode, TraceId};

use crate::columns::{AttributeValues, ValueRef, column};
use crate::{ColumnError, Projection};

/// Of a trace's spans only so many, the first by start, take part.
pub(super) const MAX_CALL_SPANS: usize = 32_768;
/// How many names are told apart.
const MAX_NAMES: usize = 16_384;
/// Longer names are cut.
const MAX_NAME_BYTES: usize = 256;
const SERVICE: &str = "service.name";
const PEER: &str = "peer.service";
/// Where a database is, and what it is, by the first that is there.
const ADDRESSES: [&str; 2] = ["server.address", "network.peer.address"];
const PEER_PORT: &str = "network.peer.port";
const DATABASES: [&str; 4] = ["db.namespace", "db.name", "db.system", "db.system.name"];
/// Who calls a root when nothing says who.
const USER: &str = "user";

/// Names of services, numbered as they come.
#[derive(Debug)]
pub struct Names {
    numbers: HashMap<Box<str>, u32, RandomState>,
    texts: Vec<Box<str>>,
    /// The number of the caller that nothing names.
    user: u32,
    overflown: bool,
}

impl Default for Names {
    fn default() -> Self {
        let mut names = Self { numbers: HashMap::default(), texts: Vec::new(), user: 0, overflown: false };
        names.user = names.number(USER).unwrap_or_default();
        names
    }
}

impl Names {
    /// The number of a name; [`None`] for the empty one, and once there are too many.
    pub fn number(&mut self, name: &str) -> Option<u32> {
        let name = &name[..name.floor_char_boundary(MAX_NAME_BYTES)];
        if let Some(known) = self.numbers.get(name) {
            return Some(*known);
        }
        if name.is_empty() {
            return None;
        }
        if self.texts.len() == MAX_NAMES {
            self.overflown = true;
            return None;
        }
        let number = self.texts.len() as u32;
        self.numbers.insert(name.into(), number);
        self.texts.push(name.into());
        Some(number)
    }

    /// The name with a number.
    pub fn text(&self, number: u32) -> &str {
        self.texts.get(number as usize).map_or("", AsRef::as_ref)
    }

    /// The names by their numbers.
    pub fn texts(&self) -> &[Box<str>] {
        &self.texts
    }

    /// Whether there were more than are told apart.
    pub fn overflown(&self) -> bool {
        self.overflown
    }
}

/// What of a span says who calls whom. Names are numbers of [`Names`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallSpan {
    id: [u8; 8],
    parent: Option<[u8; 8]>,
    kind: SpanKind,
    failed: bool,
    start: u64,
    end: u64,
    service: Option<u32>,
    /// Who the span says is at the other end.
    peer: Option<u32>,
    /// The database it asks.
    database: Option<u32>,
}

/// How two services are connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Connection {
    /// One asks the other.
    Request,
    /// One sends the other messages.
    Messaging,
    /// A database, which has no spans.
    Database,
    /// The server has no spans, its client names it.
    VirtualServer,
    /// The client has no spans.
    VirtualClient,
}

impl Connection {
    /// All of them; each one's place is its code.
    pub const ALL: [Self; 5] =
        [Self::Request, Self::Messaging, Self::Database, Self::VirtualServer, Self::VirtualClient];

    /// As `reference/tempo.md` 5.2 writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Request => "",
            Self::Messaging => "messaging_system",
            Self::Database => "database",
            Self::VirtualServer | Self::VirtualClient => "virtual_node",
        }
    }
}

/// Something that happened between services.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// One service asked another.
    Edge(Edge),
    /// A service was entered: spans of the same service below do not count again.
    Entry(Entry),
}

/// One service asked another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edge {
    /// Who asked, by number.
    pub client: u32,
    /// Who was asked, by number.
    pub server: u32,
    /// How.
    pub connection: Connection,
    /// When, in Unix nanoseconds.
    pub at: u64,
    /// Whether either side says that it failed.
    pub failed: bool,
    /// How long it took for the client, in nanoseconds.
    pub client_nanos: Option<u64>,
    /// How long it took the server, in nanoseconds.
    pub server_nanos: Option<u64>,
}

/// A service was entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Which, by number.
    pub service: u32,
    /// When, in Unix nanoseconds.
    pub at: u64,
    /// Whether it says that it failed.
    pub failed: bool,
    /// How long it took, in nanoseconds.
    pub nanos: u64,
}

impl CallSpan {
    fn nanos(&self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    fn serves(&self) -> bool {
        matches!(self.kind, SpanKind::Server | SpanKind::Consumer)
    }

    fn asks(&self) -> bool {
        matches!(self.kind, SpanKind::Client | SpanKind::Producer)
    }
}

/// The spans of one trace in their order, none of them twice, as [`calls`] takes them; as [`vivace_model::Trace`] does.
pub fn sort_spans(spans: &mut Vec<CallSpan>) {
    spans.sort_by_key(|span| (span.start, span.id, span.kind as u8, span.end));
    let mut by_id: Vec<usize> = (0..spans.len()).collect();
    by_id.sort_by_key(|at| (spans[*at].id, spans[*at].kind as u8, *at));
    let mut repeated = vec![false; spans.len()];
    for pair in by_id.windows(2) {
        let (one, next) = (&spans[pair[0]], &spans[pair[1]]);
        repeated[pair[1]] = one.id == next.id && one.kind == next.kind;
    }
    let mut at = 0;
    spans.retain(|_| {
        at += 1;
        !repeated[at - 1]
    });
    spans.truncate(MAX_CALL_SPANS);
}

/// The calls of a trace, given its spans as [`sort_spans`] leaves them. A call is paired by parent: the span that asks and
/// the one that serves below it. Proxies in between make chains of spans that ask; only the last is reached.
pub fn calls(spans: &[CallSpan], names: &Names, mut found: impl FnMut(Call)) {
    let parents = parents(spans);
    let mut fates = vec![Fate::default(); spans.len()];
    for (span, parent) in spans.iter().zip(&parents) {
        let above = parent.map(|parent| &spans[parent]);
        if let Some(parent) = *parent {
            let fate = &mut fates[parent];
            fate.reached |= span.serves() && span.service.is_some();
            fate.continued |= span.serves() || span.asks();
        }
        let Some(service) = span.service.filter(|_| span.serves()) else { continue };
        if !above.is_some_and(|above| above.serves() && above.service == span.service) {
            found(Call::Entry(Entry { service, at: span.start, failed: span.failed, nanos: span.nanos() }));
        }
        served(service, span, above, names).map(Call::Edge).into_iter().for_each(&mut found);
    }
    let asked = spans.iter().zip(fates).filter(|(span, fate)| span.asks() && !fate.reached);
    asked.filter_map(|(span, fate)| unanswered(span, fate)).map(Call::Edge).for_each(found);
}

/// What became of a span that asks.
#[derive(Debug, Clone, Copy, Default)]
struct Fate {
    /// A span of a service serves it.
    reached: bool,
    /// Another span asks or serves for it.
    continued: bool,
}

/// The call that a span of `service` serves.
fn served(service: u32, span: &CallSpan, above: Option<&CallSpan>, names: &Names) -> Option<Edge> {
    let served = Edge {
        client: 0,
        server: service,
        connection: Connection::Request,
        at: span.start,
        failed: span.failed,
        client_nanos: None,
        server_nanos: Some(span.nanos()),
    };
    match above {
        Some(above) if above.asks() => Some(Edge {
            client: above.service?,
            connection: match (above.kind, span.kind) {
                (SpanKind::Producer, _) | (_, SpanKind::Consumer) => Connection::Messaging,
                _ => Connection::Request,
            },
            at: above.start,
            failed: above.failed || span.failed,
            client_nanos: Some(above.nanos()),
            ..served
        }),
        // Some proxies say that they were asked, not that they ask.
        Some(above) => {
            let client = above.service.filter(|client| *client != service)?;
            Some(Edge { client, ..served })
        }
        None if span.parent.is_none() && span.kind == SpanKind::Server => {
            let client = span.peer.unwrap_or(names.user);
            Some(Edge { client, connection: Connection::VirtualClient, ..served })
        }
        None => None,
    }
}

/// The call of a span that asks and that no span serves.
fn unanswered(span: &CallSpan, fate: Fate) -> Option<Edge> {
    let client_nanos = Some(span.nanos());
    let (server, connection, server_nanos) = match (span.database, span.peer) {
        (Some(database), _) => (database, Connection::Database, client_nanos),
        (None, Some(peer)) if !fate.continued => (peer, Connection::VirtualServer, None),
        _ => return None,
    };
    let (at, failed) = (span.start, span.failed);
    Some(Edge { client: span.service?, server, connection, at, failed, client_nanos, server_nanos })
}

/// For each span its parent's place, by the rules of [`vivace_model::Trace`]: a server that shares its client's id is
/// below it, and what names a shared id is below its server.
fn parents(spans: &[CallSpan]) -> Vec<Option<usize>> {
    let mut by_id: Vec<usize> = (0..spans.len()).collect();
    by_id.sort_by_key(|at| (spans[*at].id, *at));
    let with_id = |id: [u8; 8]| {
        let first = by_id.partition_point(|at| spans[*at].id < id);
        by_id[first..].iter().copied().take_while(move |at| spans[*at].id == id)
    };
    let parent = |(at, span): (usize, &CallSpan)| {
        let twin = || with_id(span.id).find(|twin| *twin != at && spans[*twin].kind == SpanKind::Client);
        if let Some(client) = (span.kind == SpanKind::Server).then(twin).flatten() {
            return Some(client);
        }
        let id = span.parent?;
        let not_itself = || with_id(id).filter(|parent| *parent != at);
        not_itself().find(|parent| spans[*parent].kind == SpanKind::Server).or_else(|| not_itself().next())
    };
    spans.iter().enumerate().map(parent).collect()
}

/// The spans of a batch.
pub struct CallColumns<'a> {
    traces: &'a FixedSizeBinaryArray,
    ids: &'a FixedSizeBinaryArray,
    parents: &'a FixedSizeBinaryArray,
    kinds: &'a Int8Array,
    statuses: &'a Int8Array,
    starts: &'a UInt64Array,
    durations: &'a Int64Array,
    services: AttributeValues<'a>,
    peers: AttributeValues<'a>,
    addresses: [AttributeValues<'a>; 2],
    ports: AttributeValues<'a>,
    databases: [AttributeValues<'a>; 4],
}

impl<'a> CallColumns<'a> {
    /// What must be read of spans.
    pub fn projection() -> Projection {
        let mut projection = Projection::default();
        projection.fixed.extend([
            schema::TRACE_ID,
            schema::SPAN_ID,
            schema::PARENT_SPAN_ID,
            schema::START,
            schema::DURATION,
            schema::KIND,
            schema::STATUS,
        ]);
        projection.attribute(AttributeScope::Resource, SERVICE);
        let asked = [PEER, PEER_PORT].into_iter().chain(ADDRESSES).chain(DATABASES);
        asked.for_each(|key| projection.attribute(AttributeScope::Span, key));
        projection
    }

    /// Looks into a batch.
    ///
    /// # Errors
    /// [`ColumnError`] when a column is missing or of another type.
    pub fn new(batch: &'a RecordBatch) -> Result<Self, ColumnError> {
        let of_span = |key| AttributeValues::gather(batch, AttributeScope::Span, key);
        Ok(Self {
            traces: column(batch, schema::TRACE_ID)?,
            ids: column(batch, schema::SPAN_ID)?,
            parents: column(batch, schema::PARENT_SPAN_ID)?,
            kinds: column(batch, schema::KIND)?,
            statuses: column(batch, schema::STATUS)?,
            starts: column(batch, schema::START)?,
            durations: column(batch, schema::DURATION)?,
            services: AttributeValues::gather(batch, AttributeScope::Resource, SERVICE)?,
            peers: of_span(PEER)?,
            addresses: [of_span(ADDRESSES[0])?, of_span(ADDRESSES[1])?],
            ports: of_span(PEER_PORT)?,
            databases: [
                of_span(DATABASES[0])?,
                of_span(DATABASES[1])?,
                of_span(DATABASES[2])?,
                of_span(DATABASES[3])?,
            ],
        })
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.traces.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.traces.is_empty()
    }

    /// The trace of a row.
    pub fn trace(&self, row: usize) -> TraceId {
        TraceId(self.traces.value(row).try_into().unwrap_or_default())
    }

    /// The span in a row.
    pub fn span(&self, row: usize, names: &mut Names) -> CallSpan {
        let id = |ids: &FixedSizeBinaryArray| ids.value(row).try_into().unwrap_or_default();
        let kind = SpanKind::from_otlp(self.kinds.value(row).into());
        let start = self.starts.value(row);
        let mut number = |values: &AttributeValues<'_>| text(values, row).and_then(|text| names.number(text));
        let service = number(&self.services);
        let talks = !matches!(kind, SpanKind::Internal | SpanKind::Unspecified);
        let peer = if talks { number(&self.peers) } else { None };
        let asks = matches!(kind, SpanKind::Client | SpanKind::Producer);
        let database = if asks { self.database(row, peer, names) } else { None };
        CallSpan {
            id: id(self.ids),
            parent: self.parents.is_valid(row).then(|| id(self.parents)),
            kind,
            failed: StatusCode::from_otlp(self.statuses.value(row).into()) == StatusCode::Error,
            start,
            end: start.wrapping_add(self.durations.value(row).cast_unsigned()),
            service,
            peer,
            database,
        }
    }

    fn database(&self, row: usize, peer: Option<u32>, names: &mut Names) -> Option<u32> {
        let database = self.databases.iter().find_map(|values| text(values, row))?;
        if peer.is_some() {
            return peer;
        }
        if let Some(address) = text(&self.addresses[0], row) {
            return names.number(address);
        }
        match (text(&self.addresses[1], row), &self.ports.0[row]) {
            (Some(address), Some(ValueRef::Int(port))) => names.number(&format!("{address}:{port}")),
            (Some(address), Some(ValueRef::String(port))) => names.number(&format!("{address}:{port}")),
            (Some(address), _) => names.number(address),
            (None, _) => names.number(database),
        }
    }
}

impl Debug for CallColumns<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallColumns").field("rows", &self.len()).finish_non_exhaustive()
    }
}

fn text<'a>(values: &AttributeValues<'a>, row: usize) -> Option<&'a str> {
    match values.0[row] {
        Some(ValueRef::String(text)) if !text.is_empty() => Some(text),
        _ => None,
    }
}

/// Finds the calls of traces whose spans come together, in the order of a block.
#[derive(Debug, Default)]
pub struct CallReader {
    trace: Option<TraceId>,
    spans: Vec<CallSpan>,
    repeated: bool,
}

impl CallReader {
    /// Of spans that may be there twice.
    pub fn of_repeated() -> Self {
        Self { repeated: true, ..Self::default() }
    }

    /// Adds rows.
    ///
    /// # Errors
    /// [`ColumnError`] when the batch lacks columns of [`CallColumns::projection`].
    pub fn add(
        &mut self,
        batch: &RecordBatch,
        names: &mut Names,
        mut found: impl FnMut(Call),
    ) -> Result<(), ColumnError> {
        let columns = CallColumns::new(batch)?;
        for row in 0..columns.len() {
            let trace = columns.trace(row);
            if self.trace != Some(trace) {
                self.finish(names, &mut found);
                self.trace = Some(trace);
            }
            if self.spans.len() < MAX_CALL_SPANS {
                self.spans.push(columns.span(row, names));
            }
        }
        Ok(())
    }

    /// Ends the last trace.
    pub fn finish(&mut self, names: &Names, found: impl FnMut(Call)) {
        if self.repeated {
            sort_spans(&mut self.spans);
        }
        calls(&self.spans, names, found);
        self.spans.clear();
        self.trace = None;
    }
}

#[cfg(test)]
mod tests;
