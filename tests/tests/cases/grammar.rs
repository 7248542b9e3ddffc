//! Random queries of the whole language, all of them valid.

use vivace_e2e::cases::{aligned, unbounded};
use vivace_model::TimeRange;
use vivace_query::{MetricsRequest, MetricsWindow, SearchRequest};
use vivace_testkit::{BASE_TIME, SeededRandomness};

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

const STRUCTURAL: [&str; 15] =
    [">", "<", ">>", "<<", "~", "!>", "!<", "!>>", "!<<", "!~", "&>", "&<", "&>>", "&<<", "&~"];
const LIMITS: [&str; 9] = ["0", "1", "2", "3", "2.5", "-1", "500ms", "1s", "200"];
const MILLISECOND: u64 = 1_000_000;

/// Makes queries.
pub(crate) struct Queries {
    pub(crate) random: SeededRandomness,
}

impl Queries {
    /// A search within random bounds.
    pub(crate) fn search(&self) -> (String, SearchRequest) {
        let text = self.pipeline();
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

    /// A metrics query over a random window.
    pub(crate) fn metrics(&self) -> (String, MetricsRequest) {
        let mut text = match self.random.below(5) {
            0 => self.math(2),
            1 => format!("{} | {}", self.plain_pipeline(), self.own_function()),
            _ => format!("{} | {}{}", self.plain_pipeline(), self.function(), self.second_stages()),
        };
        if self.random.chance(20) {
            text.push_str(self.pick(&[
                " with(extrapolate=true)",
                " with(sample=true)",
                " with(exemplars=5)",
            ]));
        }
        let mut request = aligned(&text).unwrap_or_else(|reason| panic!("{text}: {reason}"));
        request.window = self.window();
        (text, request)
    }

    fn window(&self) -> MetricsWindow {
        let start = BASE_TIME + self.random.below(6_000) * MILLISECOND;
        let end = start + (1 + self.random.below(8_000)) * MILLISECOND;
        if self.random.chance(25) {
            return MetricsWindow::Instant { start, end };
        }
        let step = *self.random.pick(&[100, 333, 500, 1_000, 2_000, 20_000]) * MILLISECOND;
        MetricsWindow::aligned(start, end, step)
    }

    fn math(&self, depth: u32) -> String {
        let side = || {
            if depth > 1 && self.random.chance(30) {
                format!("({})", self.math(depth - 1))
            } else {
                format!("({} | {}{})", self.plain_pipeline(), self.function(), self.second_stages())
            }
        };
        let op = self.pick(&["+", "-", "*", "/"]);
        match self.random.below(4) {
            0 => format!("{} {op} {}", side(), self.pick(&["2", "0", "0.5"])),
            1 => format!("{} {op} {}", self.pick(&["2", "10", "0.5"]), side()),
            _ => format!("{} {op} {}", side(), side()),
        }
    }

    fn function(&self) -> String {
        let function = match self.random.below(6) {
            0 => "rate()".to_owned(),
            1 => "count_over_time()".to_owned(),
            2 => format!("min_over_time({})", self.measured()),
            3 => format!("max_over_time({})", self.measured()),
            4 => format!("sum_over_time({})", self.measured()),
            _ => format!("avg_over_time({})", self.measured()),
        };
        format!("{function}{}", self.groups(2))
    }

    /// Functions whose series have labels of their own, or values that are not exact.
    fn own_function(&self) -> String {
        match self.random.below(5) {
            0 => format!("compare({}, {})", self.filter(), 1 + self.random.below(4)),
            1 | 2 => format!("histogram_over_time({}){}", self.measured(), self.groups(1)),
            _ => {
                let quantiles = self.pick(&["0.5", "0", "1", "0.9, 0.99", "0.25"]);
                format!("quantile_over_time({}, {quantiles}){}", self.measured(), self.groups(1))
            }
        }
    }

    fn measured(&self) -> String {
        match self.random.below(4) {
            0 => "duration".to_owned(),
            1 => self.pick(&["traceDuration", "event:timeSinceStart", "span:childCount"]).to_owned(),
            2 => self.pick(&["span.http.status_code", ".ratio", "span.payload.size"]).to_owned(),
            _ => self.attribute(),
        }
    }

    fn groups(&self, most: u64) -> String {
        let count = self.random.below(most + 1);
        let mut groups: Vec<String> = Vec::new();
        for _ in 0..count {
            let group = if self.random.chance(50) { self.attribute() } else { self.intrinsic() };
            if !groups.contains(&group) {
                groups.push(group);
            }
        }
        if groups.is_empty() { String::new() } else { format!(" by({})", groups.join(", ")) }
    }

    fn second_stages(&self) -> String {
        let mut stages = String::new();
        while self.random.chance(30) {
            let n = 1 + self.random.below(4);
            match self.random.below(3) {
                0 => stages.push_str(&format!(" | topk({n})")),
                1 => stages.push_str(&format!(" | bottomk({n})")),
                _ => stages.push_str(&format!(" {} {}", self.comparison(), self.pick(&LIMITS))),
            }
        }
        stages
    }

    /// Any pipeline of a search.
    fn pipeline(&self) -> String {
        if self.random.chance(20) { self.wrapped() } else { self.with_stages(self.spanset(MAX_DEPTH)) }
    }

    /// A pipeline that metrics may follow.
    fn plain_pipeline(&self) -> String {
        if self.random.chance(50) {
            return "{ }".to_owned();
        }
        self.with_stages(self.spanset(MAX_DEPTH))
    }

    fn with_stages(&self, mut text: String) -> String {
        while self.random.chance(35) {
            text.push_str(" | ");
            text.push_str(&match self.random.below(6) {
                0 => self.spanset(1),
                1 | 2 => self.scalar_filter(),
                3 => format!("by({})", self.group()),
                4 => "coalesce()".to_owned(),
                _ => format!("select({}, {})", self.attribute(), self.intrinsic()),
            });
        }
        text
    }

    /// Pipelines in brackets as operands, which no stage may follow; those of structural operators yield one span set.
    fn wrapped(&self) -> String {
        let operand = |end: &str| {
            let stages = self.with_stages(format!("{} | {}", self.filter(), self.scalar_filter()));
            format!("({stages}{end})")
        };
        if self.random.chance(50) {
            let op = self.pick(&["&&", "||"]);
            return format!("{} {op} {}", operand(""), self.filter());
        }
        let op = self.pick(&STRUCTURAL);
        format!("{} {op} {}", self.filter(), operand(" | coalesce()"))
    }

    fn spanset(&self, depth: u32) -> String {
        if depth == 0 || self.random.chance(35) {
            return if self.random.chance(20) { "{ }".to_owned() } else { self.filter() };
        }
        let op = if self.random.chance(50) { self.pick(&["&&", "||"]) } else { self.pick(&STRUCTURAL) };
        let (left, right) = (self.spanset(depth - 1), self.spanset(depth - 1));
        format!("({left}) {op} ({right})")
    }

    fn scalar_filter(&self) -> String {
        let aggregate = match self.random.below(5) {
            0 => "count()".to_owned(),
            1 => format!("avg({})", self.aggregated()),
            2 => format!("min({})", self.aggregated()),
            3 => format!("max({})", self.aggregated()),
            _ => format!("sum({})", self.aggregated()),
        };
        format!("{aggregate} {} {}", self.comparison(), self.pick(&LIMITS))
    }

    fn aggregated(&self) -> String {
        let field = self.measured();
        match self.random.below(4) {
            0 => {
                format!("{field} {} {}", self.pick(&["+", "-", "*", "/", "%"]), self.pick(&["2", "0.5", "3"]))
            }
            _ => field,
        }
    }

    fn group(&self) -> String {
        match self.random.below(4) {
            0 => self.attribute(),
            1 => format!("{} {} {}", self.pick(&NUMERIC), self.comparison(), self.pick(&LIMITS)),
            _ => self.intrinsic(),
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
