//! What happens to a request on its way through the mesh, as small records of fixed size: one for each span.

use super::mesh::{Mesh, Step};
use super::random::{Random, hash};

const MICROSECOND: u64 = 1_000;
const MILLISECOND: u64 = 1_000_000;
/// One trace in so many is a report that asks the same service again and again.
const REPORTS: u64 = 1_900;
/// Traces that something goes wrong in, of a thousand.
const FAULTS: u64 = 80;
/// An ordinary trace does not start a hop beyond this many spans, so that it stays below 60.
const ORDINARY_SPANS: usize = 44;
/// The same for a report.
const REPORT_SPANS: usize = 400;
pub(super) const USER_AGENTS: [&str; 6] = [
    "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Safari/605.1.15",
    "ShopApp/7.14.2 (iPhone; iOS 18.6; build 20260114) CFNetwork/3826.600.41",
    "ShopApp/7.14.0 (Android 15; Pixel 9; build 20260109) okhttp/5.1.0",
    "Fortio.org/fortio-1.69.5",
];

/// Who reports a span and about what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Role {
    ProxyClient,
    ProxyServer,
    AppServer,
    AppClient,
    Query,
    Compute,
    Publish,
    Consume,
    /// Part of a giant trace: work on one page of many.
    Page,
}

/// A span before it is written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Draft {
    /// Index of its trace among the slot's.
    pub(super) trace: u32,
    pub(super) role: Role,
    /// The pod that reports it.
    pub(super) pod: usize,
    /// The pods at both ends of a call.
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) operation: usize,
    pub(super) id: u64,
    /// 0 for none.
    pub(super) parent: u64,
    /// Unix nanoseconds.
    pub(super) start: u64,
    pub(super) end: u64,
    /// The id in the URL, and what else is random about the request.
    pub(super) object: u64,
    pub(super) reply: Reply,
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) end: u64,
    /// HTTP status.
    pub(super) status: u16,
    /// Envoy's `response_flags`.
    pub(super) flags: &'static str,
    pub(super) size: u64,
}

/// What the spans of a trace have in common.
#[derive(Debug, Clone, Copy)]
pub(super) struct TraceDraft {
    pub(super) id: [u64; 2],
    /// `x-request-id`.
    pub(super) request: [u64; 2],
    pub(super) user_agent: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// No pod can be reached.
    Unreachable,
    /// The application throws.
    Exception,
    /// The caller's proxy gives up.
    Timeout,
    /// The database refuses.
    Database,
}

/// All that happens in a stretch of time.
#[derive(Debug, Default)]
pub(super) struct Slot {
    pub(super) traces: Vec<TraceDraft>,
    pub(super) drafts: Vec<Draft>,
}

/// A giant trace's share in a slot.
#[derive(Debug, Clone, Copy)]
pub(super) struct GiantPart {
    pub(super) trace: TraceDraft,
    pub(super) root: u64,
    /// When the whole trace starts.
    pub(super) start: u64,
    /// When it ends, told in its last part, which has the root span.
    pub(super) end: Option<u64>,
    /// Spans of this part, about.
    pub(super) spans: usize,
}

/// A stretch of time of one seed.
#[derive(Debug, Clone, Copy)]
pub(super) struct SlotTime {
    pub(super) seed: u64,
    pub(super) number: u64,
    /// Unix nanoseconds.
    pub(super) start: u64,
    /// Nanoseconds.
    pub(super) width: u64,
}

impl Slot {
    /// Replaces what was in it.
    pub(super) fn simulate(&mut self, mesh: &Mesh, time: SlotTime, traces: u64, giant: Option<GiantPart>) {
        self.traces.clear();
        self.drafts.clear();
        let mut random = Random::new(time.seed, time.number.wrapping_add(1));
        for at in 0..traces {
            // one trace in each equal part of the slot, somewhere in it
            let step = time.width / traces;
            let start = time.start + at * step + random.below(step.max(1));
            let trace = trace_draft(&mut random);
            self.request(mesh, &mut random, trace, start);
        }
        if let Some(part) = giant {
            self.giant(mesh, &mut random, time, part);
        }
    }

    fn request(&mut self, mesh: &Mesh, random: &mut Random, trace: TraceDraft, start: u64) {
        let report = random.below(REPORTS) == 0;
        let entry = mesh.entries[random.within(0..mesh.entries.len())];
        let gateway = random.within(mesh.services[mesh.gateway].pods.clone());
        let mut walk = Walk::new(mesh, random, self, trace);
        walk.fault = walk.random.chance(FAULTS).then(|| walk.any_fault());
        walk.fault_hop = 1 + walk.random.below(4) as usize;
        if report {
            walk.most_spans = REPORT_SPANS;
            walk.repeats = walk.random.within(20..70);
        }
        walk.hop(gateway, true, entry, 0, start);
    }

    fn giant(&mut self, mesh: &Mesh, random: &mut Random, time: SlotTime, part: GiantPart) {
        let operation = mesh.leaves[hash(part.root, 0) as usize % mesh.leaves.len()];
        let pod = mesh.services[mesh.operations[operation].service].pods.start;
        let mut walk = Walk::new(mesh, random, self, part.trace);
        walk.most_spans = usize::MAX;
        let mut now = time.start;
        let first = walk.slot.drafts.len();
        while walk.slot.drafts.len() - first < part.spans {
            let page = walk.random.bits() | 1;
            let begun = now;
            for _ in 0..12 {
                let leaf = mesh.leaves[walk.random.within(0..mesh.leaves.len())];
                now = walk.hop(pod, false, leaf, page, now).end;
            }
            walk.own(Role::Page, pod, operation, page, part.root, begun, now);
            // pages of a slot run beside each other
            now = begun + walk.random.around(MILLISECOND);
        }
        if let Some(end) = part.end {
            walk.own(Role::Page, pod, operation, part.root, 0, part.start, end);
        }
    }
}

pub(super) fn trace_draft(random: &mut Random) -> TraceDraft {
    TraceDraft {
        id: [random.bits(), random.bits()],
        request: [random.bits(), random.bits()],
        user_agent: random.within(0..USER_AGENTS.len()),
    }
}

/// One request on its way.
struct Walk<'a> {
    mesh: &'a Mesh,
    random: &'a mut Random,
    slot: &'a mut Slot,
    trace: u32,
    first: usize,
    most_spans: usize,
    /// How often the first operation repeats its first call.
    repeats: usize,
    fault: Option<Fault>,
    fault_hop: usize,
    hops: usize,
}

impl<'a> Walk<'a> {
    fn new(mesh: &'a Mesh, random: &'a mut Random, slot: &'a mut Slot, trace: TraceDraft) -> Self {
        slot.traces.push(trace);
        let (trace, first) = ((slot.traces.len() - 1) as u32, slot.drafts.len());
        Self {
            mesh,
            random,
            slot,
            trace,
            first,
            most_spans: ORDINARY_SPANS,
            repeats: 1,
            fault: None,
            fault_hop: 0,
            hops: 0,
        }
    }

    fn any_fault(&mut self) -> Fault {
        [Fault::Unreachable, Fault::Exception, Fault::Exception, Fault::Timeout, Fault::Database]
            [self.random.within(0..5)]
    }

    fn micros(&mut self, median: u64) -> u64 {
        self.random.around(median * MICROSECOND)
    }

    /// A call from a pod: the caller's library, its proxy, the proxy in front of the service, the service.
    fn hop(&mut self, from: usize, gateway: bool, operation: usize, parent: u64, start: u64) -> Reply {
        let (mesh, op) = (self.mesh, &self.mesh.operations[operation]);
        let service = &mesh.services[op.service];
        let to = self.random.within(service.pods.clone());
        let object = self.random.bits();
        self.hops += 1;
        let fault = self.fault.filter(|_| self.hops == self.fault_hop);
        let has_sidecar = gateway || mesh.services[mesh.pods[from].service].waypoint.is_none();
        let draft = Draft {
            trace: self.trace,
            role: Role::AppClient,
            pod: from,
            from,
            to,
            operation,
            id: 0,
            parent,
            start,
            end: 0,
            object,
            reply: Reply { end: 0, status: 200, flags: "-", size: 0 },
        };
        let library = (!gateway).then(|| Draft { id: self.random.bits() | 1, ..draft });
        let mut now = start + if gateway { 0 } else { self.micros(120) };
        let mut above = library.map_or(parent, |library| library.id);
        let proxy = Draft { role: Role::ProxyClient, parent: above, start: now, ..draft };
        let proxy = has_sidecar.then(|| Draft { id: self.random.bits() | 1, ..proxy });
        above = proxy.map_or(above, |proxy| proxy.id);

        let mut reply = if fault == Some(Fault::Unreachable) && has_sidecar {
            Reply { end: now + self.micros(2_400), status: 503, flags: "UF,URX", size: 145 }
        } else {
            now += self.micros(350);
            self.arrive(Draft { parent: above, start: now, ..draft }, fault)
        };
        if let Some(proxy) = proxy {
            reply.end += self.micros(280);
            self.slot.drafts.push(Draft { end: reply.end, reply, ..proxy });
        }
        reply.flags = "-";
        if let Some(library) = library {
            reply.end += self.micros(90);
            self.slot.drafts.push(Draft { end: reply.end, reply, ..library });
        }
        reply
    }

    /// The far side of a call: the proxy in front of the service and the service itself.
    fn arrive(&mut self, draft: Draft, fault: Option<Fault>) -> Reply {
        let service = &self.mesh.services[self.mesh.operations[draft.operation].service];
        let pod = match service.waypoint {
            Some(waypoint) => self.random.within(self.mesh.services[waypoint].pods.clone()),
            None => draft.to,
        };
        let proxy = Draft { role: Role::ProxyServer, pod, id: self.random.bits() | 1, ..draft };
        let handed_on = draft.start + self.micros(130);
        let app = Draft { role: Role::AppServer, pod: draft.to, ..draft };
        let mut reply = self.serve(Draft { parent: proxy.id, start: handed_on, ..app }, fault);
        reply.end += self.micros(100);
        let seen = if fault == Some(Fault::Timeout) { Reply { flags: "DC", ..reply } } else { reply };
        self.slot.drafts.push(Draft { end: reply.end, reply: seen, ..proxy });
        if fault == Some(Fault::Timeout) {
            reply = Reply { status: 504, flags: "UT", size: 24, ..reply };
        }
        reply
    }

    fn serve(&mut self, draft: Draft, fault: Option<Fault>) -> Reply {
        let op = &self.mesh.operations[draft.operation];
        let id = self.random.bits() | 1;
        let begun = draft.start + self.random.around(op.work / 2);
        let (mut now, mut status) = (begun, 200);
        let repeats = std::mem::replace(&mut self.repeats, 1);
        for (number, step) in op.steps.iter().enumerate() {
            let times = if number == 0 { repeats } else { 1 };
            for _ in 0..times {
                let from = if op.parallel { begun } else { now };
                let reply = self.step(*step, &draft, id, from, times > 1, fault);
                now = now.max(reply.end);
                // a service does without some answers, and fails for want of others
                if reply.status >= 500 && self.random.chance(700) {
                    status = reply.status;
                }
            }
        }
        match fault {
            Some(Fault::Timeout) => now += 3_000 * MILLISECOND + self.random.around(400 * MILLISECOND),
            Some(Fault::Exception | Fault::Database) => status = 500,
            _ => {}
        }
        let end = now + self.random.around(op.work / 2);
        let size = if status < 500 { self.random.around(op.size) } else { 72 };
        if status < 500 && self.random.chance(15) {
            status = [201, 204, 404, 400][self.random.within(0..4)];
        }
        let reply = Reply { end, status, flags: "-", size };
        self.slot.drafts.push(Draft { id, end, reply, ..draft });
        reply
    }

    /// What a step of the operation that `server` serves does, below its span `id`.
    fn step(
        &mut self,
        step: Step,
        server: &Draft,
        id: u64,
        start: u64,
        always: bool,
        fault: Option<Fault>,
    ) -> Reply {
        let nothing = Reply { end: start, status: 200, flags: "-", size: 0 };
        let full = self.slot.drafts.len() - self.first >= self.most_spans;
        let (Step::Call { permille, .. }
        | Step::Query { permille }
        | Step::Compute { permille }
        | Step::Publish { permille, .. }) = step;
        let broken = fault == Some(Fault::Database) && matches!(step, Step::Query { .. });
        if full || !(always || broken || self.random.chance(permille)) {
            return nothing;
        }
        let own = self.random.bits() | 1;
        match step {
            Step::Call { operation, .. } => self.hop(server.pod, false, operation, id, start),
            Step::Query { .. } => {
                let end = start + self.micros(if broken { 50_000 } else { 900 });
                let reply = Reply { end, status: if broken { 500 } else { 200 }, ..nothing };
                let draft = Draft { role: Role::Query, id: own, parent: id, start, end, reply, ..*server };
                self.slot.drafts.push(Draft { object: self.random.bits(), ..draft });
                reply
            }
            Step::Compute { .. } => {
                let end = start + self.micros(400);
                self.own(Role::Compute, server.pod, server.operation, own, id, start, end);
                Reply { end, ..nothing }
            }
            Step::Publish { operation, .. } => self.publish(server, operation, own, id, start),
        }
    }

    /// A message, and what its consumer does later.
    fn publish(&mut self, server: &Draft, operation: usize, id: u64, parent: u64, start: u64) -> Reply {
        let end = start + self.micros(600);
        let reply = Reply { end, status: 200, flags: "-", size: 0 };
        let consumer =
            self.random.within(self.mesh.services[self.mesh.operations[operation].service].pods.clone());
        let draft = Draft { operation, start, end, reply, object: self.random.bits(), ..*server };
        self.slot.drafts.push(Draft { role: Role::Publish, id, parent, ..draft });
        let begun = end + self.random.around(20 * MILLISECOND);
        let done = begun + self.micros(3_000);
        let consume = Draft { role: Role::Consume, pod: consumer, from: server.pod, to: consumer, ..draft };
        let consume = Draft { id: self.random.bits() | 1, parent: id, start: begun, end: done, ..consume };
        self.slot.drafts.push(consume);
        reply
    }

    /// A span about a pod's own work.
    #[expect(clippy::too_many_arguments, reason = "the parts of a span")]
    fn own(&mut self, role: Role, pod: usize, operation: usize, id: u64, parent: u64, start: u64, end: u64) {
        let reply = Reply { end, status: 200, flags: "-", size: 0 };
        let object = self.random.bits();
        let (trace, from, to) = (self.trace, pod, pod);
        self.slot.drafts.push(Draft {
            trace,
            role,
            pod,
            from,
            to,
            operation,
            id,
            parent,
            start,
            end,
            object,
            reply,
        });
    }
}
