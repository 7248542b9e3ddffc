//! Random queries over random traces.

use vivace_e2e::cases::{Store, Way, differs, unbounded};
use vivace_e2e::oracle;
use vivace_model::{Span, TimeRange};
use vivace_query::SearchRequest;
use vivace_testkit::{BASE_TIME, SeededRandomness, TraceGenerator, seeds};

const SEEDS: u64 = 3;
const QUERIES_PER_SEED: usize = 70;
const TRACES: usize = 8;
const SPANS_PER_TRACE: usize = 9;
const MAX_DEPTH: u32 = 2;

const SCOPES: [&str; 6] = [".", "span.", "resource.", "event.", "link.", "instrumentation."];
/// Keys that the trace generator gives values of every type, as TraceQL writes them, and one that nobody has.
const KEYS: [&str; 10] = [
    "http.status_code",
    "http.method",
    "guid:x-request-id",
    "retry",
    "ratio",
    "payload.size",
    "\"with space\"",
    "größe",
    "duration",
    "absent",
];
const STRINGS: [&str; 9] = [
    "\"\"",
    "\"200\"",
    "\"GET\"",
    "\"true\"",
    "\"naïve 🎻\"",
    "\"reviews.default\"",
    "\"retry\"",
    "\"nil\"",
    "\"GET /\"",
];
const PATTERNS: [&str; 7] =
    ["\"\"", "\".*\"", "\"G.T\"", "\"[0-9]+\"", "\"(?i)get.*\"", "\".+\"", "\"reviews|details\""];
const TEXTUAL: [&str; 8] = [
    "name",
    "statusMessage",
    "rootName",
    "rootServiceName",
    "event:name",
    "span:parentID",
    "instrumentation:name",
    "resource.service.name",
];
const NUMERIC: [&str; 6] = [
    "duration",
    "traceDuration",
    "span:childCount",
    "event:timeSinceStart",
    "nestedSetParent",
    "nestedSetLeft",
];
const NUMBERS: [&str; 12] =
    ["0", "1", "-1", "200", "404", "499.5", "0.5", "-2.5", "1s", "200ms", "maxInt", "minInt"];
const COMPARISONS: [&str; 6] = ["=", "!=", "<", "<=", ">", ">="];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_queries_find_the_same_in_every_way() {
    for seed in seeds(SEEDS) {
        let spans = TraceGenerator::new(seed).traces(TRACES, SPANS_PER_TRACE);
        let mut stores = Vec::new();
        for way in Way::ALL {
            stores.push(Store::open(way, &spans).await);
        }
        let queries = Queries { random: SeededRandomness::new(seed) };
        let (mut answered, mut failures) = (0, Vec::new());
        for _ in 0..QUERIES_PER_SEED {
            let (text, request) = queries.next();
            answered += usize::from(!oracle::search(&spans, &request).is_empty());
            failures.extend(failure(&text, &request, &spans, &stores).await);
        }
        assert!(
            failures.is_empty(),
            "seed {seed}, {} queries fail:\n{}",
            failures.len(),
            failures.join("\n")
        );
        // Queries that find nothing test little.
        assert!(
            answered * 4 > QUERIES_PER_SEED,
            "only {answered} of {QUERIES_PER_SEED} queries found something"
        );
    }
}

async fn failure(text: &str, request: &SearchRequest, spans: &[Span], stores: &[Store]) -> Option<String> {
    let by_rule = oracle::search(spans, request);
    for store in stores {
        let how = match store.search(request).await {
            Err(reason) => Some(reason),
            Ok(found) => differs(&by_rule, &found),
        };
        if let Some(how) = how {
            return Some(format!("{text}\n {:?}: {how}", store.way()));
        }
    }
    None
}

struct Queries {
    random: SeededRandomness,
}

impl Queries {
    /// A valid query within random bounds.
    fn next(&self) -> (String, SearchRequest) {
        let text = self.text();
        let mut request = unbounded(&text).unwrap_or_else(|reason| panic!("{text}: {reason}"));
        if self.random.chance(20) {
            request.limit = 1 + self.random.index(5);
        }
        if self.random.chance(20) {
            request.spans_per_span_set = 1 + self.random.index(3);
        }
        if self.random.chance(20) {
            let start = BASE_TIME + self.random.below(10_000_000_000);
            request.range = TimeRange { start, end: start + self.random.below(1_000_000_000) };
        }
        if self.random.chance(10) {
            request.min_duration = Some(self.random.below(1_000_000_000));
        }
        if self.random.chance(10) {
            request.max_duration = Some(1_000_000_000 + self.random.below(1_000_000_000));
        }
        (text, request)
    }

    fn text(&self) -> String {
        let first = self.filter();
        match self.random.below(7) {
            0 => format!("{first} && {}", self.filter()),
            1 => format!("{first} || {}", self.filter()),
            2 => format!("{first} | {}", self.filter()),
            3 => format!("({first} || {}) && {}", self.filter(), self.filter()),
            4 => format!("{first} | select({}, {})", self.attribute(), self.intrinsic()),
            _ => first,
        }
    }

    fn filter(&self) -> String {
        format!("{{ {} }}", self.truth(MAX_DEPTH))
    }

    fn truth(&self, depth: u32) -> String {
        if depth > 0 {
            match self.random.below(6) {
                0 => return format!("({}) && ({})", self.truth(depth - 1), self.truth(depth - 1)),
                1 => return format!("({}) || ({})", self.truth(depth - 1), self.truth(depth - 1)),
                2 => return format!("!({})", self.truth(depth - 1)),
                _ => {}
            }
        }
        match self.random.below(10) {
            0 => format!("{} {} nil", self.attribute(), self.pick(&["=", "!="])),
            1 => self.attribute(),
            2 => format!("{} {} {}", self.textual(), self.pick(&["=~", "!~"]), self.pick(&PATTERNS)),
            3 | 4 => format!("{} {} {}", self.textual(), self.comparison(), self.pick(&STRINGS)),
            5 => format!("{} = {}", self.attribute(), self.pick(&["true", "false", "error", "client"])),
            6 => format!(
                "kind {} {}",
                self.pick(&["=", "!="]),
                self.pick(&["server", "client", "unspecified"])
            ),
            7 => format!("status {} {}", self.pick(&["=", "!="]), self.pick(&["error", "ok", "unset"])),
            8 => format!("{} {} {}", self.attribute(), self.comparison(), self.attribute()),
            _ => format!("{} {} {}", self.number(depth), self.comparison(), self.number(0)),
        }
    }

    fn number(&self, depth: u32) -> String {
        match self.random.below(5) {
            0 | 1 if depth > 0 => {
                let op = self.pick(&["+", "-", "*", "/", "%"]);
                format!("({} {op} {})", self.number(depth - 1), self.number(depth - 1))
            }
            2 if depth > 0 => format!("({} ^ {})", self.number(0), self.pick(&["2", "3", "0", "-1", "0.5"])),
            0 | 1 => self.pick(&NUMERIC).to_owned(),
            2 => self.pick(&NUMBERS).to_owned(),
            _ => self.attribute(),
        }
    }

    fn textual(&self) -> String {
        if self.random.chance(50) { self.pick(&TEXTUAL).to_owned() } else { self.attribute() }
    }

    fn intrinsic(&self) -> String {
        let all: Vec<&str> =
            TEXTUAL.iter().chain(&NUMERIC).chain(&["status", "kind", "span:id"]).copied().collect();
        self.pick(&all).to_owned()
    }

    fn attribute(&self) -> String {
        format!("{}{}", self.pick(&SCOPES), self.pick(&KEYS))
    }

    fn comparison(&self) -> &'static str {
        self.pick(&COMPARISONS)
    }

    fn pick<'a>(&self, choices: &[&'a str]) -> &'a str {
        self.random.pick::<&str>(choices)
    }
}
