use std::fmt::Write as _;

use super::answer::{SpanView, TraceView};
use super::terminal::{Terminal, printable};
use super::time::{duration_text, utc_text};
use super::tree::{Forest, Line};

/// Levels that are drawn indented; deeper spans stay at this depth, so that a chain of thousands fits.
const MAX_DEPTH: usize = 20;
/// Errors that are told in words below the drawing.
const MAX_ERRORS: usize = 10;
const RED: &str = "31";
const FAINT: &str = "2";
const BOLD: &str = "1";
/// Bars of one service have one colour.
const SERVICE_COLOURS: [&str; 6] = ["36", "32", "33", "35", "34", "96"];

/// Draws a trace: one line per span, with its place in the tree and in time. At most `max_spans` lines.
pub(crate) fn waterfall(trace: &TraceView, terminal: &Terminal, max_spans: usize) -> String {
    let drawing = Drawing::new(trace, terminal);
    let forest = Forest::new(&trace.spans);
    let mut out = drawing.heading();
    let mut room = max_spans;
    let sections = [
        ("", &forest.roots),
        ("Spans whose parent is missing:", &forest.orphans),
        ("Spans that are their own ancestors:", &forest.cycles),
    ];
    for (title, heads) in sections {
        if heads.is_empty() || room == 0 {
            continue;
        }
        if !title.is_empty() {
            let _ = writeln!(out, "\n{}", terminal.paint(BOLD, title));
        }
        room -= drawing.section(&mut out, forest.lines(heads).take(room));
    }
    if trace.spans.len() > max_spans {
        let hidden = trace.spans.len() - max_spans;
        let _ = writeln!(out, "\n{hidden} more spans are not shown; raise --max-spans to see them");
    }
    drawing.errors(&mut out);
    out
}

struct Drawing<'a> {
    trace: &'a TraceView,
    terminal: &'a Terminal,
    services: Vec<&'a str>,
    start: u64,
    length: u64,
    name_width: usize,
    service_width: usize,
    bar_width: usize,
}

const KIND_WIDTH: usize = 8;
const DURATION_WIDTH: usize = 8;
/// Error mark and the blanks between columns.
const GAPS: usize = 2 + 4 * 2;
const MIN_BAR: usize = 10;

impl<'a> Drawing<'a> {
    fn new(trace: &'a TraceView, terminal: &'a Terminal) -> Self {
        let spans = &trace.spans;
        let start = spans.iter().map(|span| span.start).min().unwrap_or_default();
        let end = spans.iter().map(|span| span.start.saturating_add(span.duration)).max().unwrap_or_default();
        let mut services: Vec<&str> = spans.iter().map(|span| span.service.as_str()).collect();
        services.sort_unstable();
        services.dedup();

        let width = terminal.drawing_width();
        let longest_service =
            services.iter().map(|service| service.chars().count()).max().unwrap_or_default();
        let service_width = longest_service.clamp(7, width / 4);
        let rest = width.saturating_sub(GAPS + KIND_WIDTH + DURATION_WIDTH + service_width);
        let longest_name = spans.iter().map(|span| span.name.chars().count()).max().unwrap_or_default();
        let name_width =
            (longest_name + 2 * MAX_DEPTH.min(8)).min(rest * 3 / 5).min(rest.saturating_sub(MIN_BAR));
        let bar_width = rest - name_width;
        let length = end.saturating_sub(start);
        Self { trace, terminal, services, start, length, name_width, service_width, bar_width }
    }

    fn heading(&self) -> String {
        let errors = self.trace.spans.iter().filter(|span| span.error.is_some()).count();
        let counts = [
            count(self.trace.spans.len(), "span"),
            count(self.services.len(), "service"),
            count(errors, "error"),
        ];
        let title = format!("Trace {}", printable(&self.trace.trace_id));
        format!(
            "{}\n{}\nstarted {} UTC, took {}\n\n{}\n",
            self.terminal.paint(BOLD, &title),
            counts.join(", "),
            utc_text(self.start),
            self.duration(self.length),
            self.column_titles()
        )
    }

    fn column_titles(&self) -> String {
        let end = self.duration(self.length);
        let (name, service, axis) = (self.name_width, self.service_width, self.bar_width - 1);
        let line = format!(
            "  {:name$}  {:service$}  {:KIND_WIDTH$}  {:>DURATION_WIDTH$}  0{:>axis$}",
            "Span", "Service", "Kind", "Duration", end
        );
        self.terminal.paint(FAINT, &line)
    }

    fn section(&self, out: &mut String, lines: impl Iterator<Item = Line>) -> usize {
        // whether the branch at each level goes on below
        let mut open = [false; MAX_DEPTH + 1];
        let mut drawn = 0;
        for line in lines {
            let depth = line.depth.min(MAX_DEPTH);
            open[depth] = !line.last;
            let guides = self.guides(&open[..=depth], line);
            self.span(out, &self.trace.spans[line.span], &guides);
            drawn += 1;
        }
        drawn
    }

    fn guides(&self, open: &[bool], line: Line) -> String {
        let [pass, fork, corner, deeper] =
            if self.terminal.unicode { ["│ ", "├ ", "└ ", "… "] } else { ["| ", "|-", "`-", ".."] };
        if line.depth > MAX_DEPTH {
            return deeper.to_owned() + &line.depth.to_string() + " ";
        }
        let Some((_, above)) = open.split_last().filter(|_| line.depth > 0) else {
            return String::new();
        };
        let mut guides: String = above.iter().skip(1).map(|&open| if open { pass } else { "  " }).collect();
        guides.push_str(if line.last { corner } else { fork });
        guides
    }

    fn span(&self, out: &mut String, span: &SpanView, guides: &str) {
        let failed = span.error.is_some();
        let mark = match (failed, self.terminal.unicode) {
            (false, _) => "  ",
            (true, true) => "✗ ",
            (true, false) => "! ",
        };
        let guide_width = guides.chars().count().min(self.name_width);
        let name = self.fit(&printable(&span.name), self.name_width - guide_width);
        let name = if failed { self.terminal.paint(RED, &name) } else { name };
        let colour = self.services.binary_search(&span.service.as_str()).unwrap_or_default();
        let colour = if failed { RED } else { SERVICE_COLOURS[colour % SERVICE_COLOURS.len()] };
        let _ = writeln!(
            out,
            "{}{}{name}  {}  {:KIND_WIDTH$}  {:>DURATION_WIDTH$}  {}",
            self.terminal.paint(RED, mark),
            self.terminal.paint(FAINT, guides),
            self.fit(&printable(&span.service), self.service_width),
            span.kind,
            self.duration(span.duration),
            self.bar(span, colour)
        );
    }

    fn bar(&self, span: &SpanView, colour: &str) -> String {
        let cells = self.bar_width as u128;
        let length = u128::from(self.length.max(1));
        let from = u128::from(span.start - self.start);
        let to = from + u128::from(span.duration);
        let first = (from * cells / length).min(cells - 1);
        let last = (to * cells).div_ceil(length).clamp(first + 1, cells);
        let short = u128::from(span.duration) * cells * 2 < length;
        let [full, sliver] = if self.terminal.unicode { ["█", "▏"] } else { ["=", "|"] };
        let drawn = if short { sliver.to_owned() } else { full.repeat((last - first) as usize) };
        format!("{}{}", " ".repeat(first as usize), self.terminal.paint(colour, &drawn))
    }

    /// `text` cut or padded to `width` characters.
    fn fit(&self, text: &str, width: usize) -> String {
        if text.chars().count() <= width {
            return format!("{text:width$}");
        }
        let cut = if self.terminal.unicode { "…" } else { "." };
        let kept: String = text.chars().take(width.saturating_sub(1)).collect();
        format!("{:width$}", kept + cut)
    }

    fn duration(&self, nanos: u64) -> String {
        duration_text(nanos, self.terminal.unicode)
    }

    fn errors(&self, out: &mut String) {
        let told = |span: &'a SpanView| span.error.as_deref().filter(|e| !e.is_empty()).map(|e| (span, e));
        let mut failed: Vec<_> = self.trace.spans.iter().filter_map(told).collect();
        failed.sort_by_key(|(span, _)| span.start);
        if !failed.is_empty() {
            let _ = writeln!(out, "\n{}", self.terminal.paint(BOLD, "Errors:"));
        }
        for (span, error) in failed.iter().take(MAX_ERRORS) {
            let line = format!("{} {}: {error}", span.service, span.name);
            let _ = writeln!(out, "  {}", self.terminal.paint(RED, &printable(&line)));
        }
        if let Some(more) = failed.len().checked_sub(MAX_ERRORS).filter(|more| *more > 0) {
            let _ = writeln!(out, "  and {more} more");
        }
    }
}

/// `1 span`, `2 spans`.
fn count(number: usize, what: &str) -> String {
    super::count(number as u64, what)
}

#[cfg(test)]
mod tests;
