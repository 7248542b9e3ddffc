//! Lines of a case file.

use vivace_base::UnixNanos;
use vivace_model::{SpanId, TimeRange, TraceId};
use vivace_query::{MetricsWindow, Sample};
use vivace_testkit::BASE_TIME;

use super::question::{Ask, Question, aligned, unbounded};
use super::span;
use super::words::Words;
use super::{Case, ExpectedAnswer, ExpectedSeries, ExpectedSet, ExpectedTraces};
use crate::oracle::sort_attributes;

/// Reads a file, whose name is for error messages.
pub(super) fn parse(name: &str, text: &str) -> Case {
    let mut reader = Reader::default();
    for (at, line) in text.lines().enumerate() {
        let line_number = at + 1;
        if let Err(reason) = reader.line(line_number, line) {
            panic!("{name}.case:{line_number}: {reason}: {line}");
        }
    }
    let question = |draft: QuestionDraft| {
        let (line, text) = (draft.line, draft.text.clone());
        draft.finish().unwrap_or_else(|reason| panic!("{name}.case:{line}: {reason}: {text}"))
    };
    reader.queries.append(&mut reader.open);
    let queries = reader.queries.into_iter().map(question).collect();
    Case { spans: reader.spans.into_iter().map(span::Draft::finish).collect(), queries }
}

#[derive(Default)]
struct Reader {
    spans: Vec<span::Draft>,
    queries: Vec<QuestionDraft>,
    /// Queries in a row share what follows them.
    open: Vec<QuestionDraft>,
}

/// A query whose bounds and answer may still follow.
#[derive(Debug, Clone)]
struct QuestionDraft {
    line: usize,
    text: String,
    metrics: bool,
    bounds: Vec<(String, String)>,
    answer: Vec<(String, String)>,
}

impl Reader {
    fn line(&mut self, number: usize, line: &str) -> Result<(), String> {
        let line = line.trim();
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "" => Ok(()),
            _ if word.starts_with('#') => Ok(()),
            "span" => {
                self.spans.push(span::Draft::parse(rest)?);
                Ok(())
            }
            "attributes" | "resource" | "instrumentation" | "event" | "link" => {
                self.spans.last_mut().ok_or("no span yet")?.detail(word, rest)
            }
            "query" | "metrics" => {
                self.query(number, word == "metrics", rest);
                Ok(())
            }
            _ if self.open.is_empty() => Err("no query yet".to_owned()),
            _ => {
                let bound = ["limit", "spss", "range", "min", "max", "window", "instant"].contains(&word);
                for draft in &mut self.open {
                    let lines = if bound { &mut draft.bounds } else { &mut draft.answer };
                    lines.push((word.to_owned(), rest.to_owned()));
                }
                Ok(())
            }
        }
    }

    fn query(&mut self, line: usize, metrics: bool, text: &str) {
        if self.open.iter().any(|draft| !draft.answer.is_empty() || !draft.bounds.is_empty()) {
            self.queries.append(&mut self.open);
        }
        let text = text.trim().to_owned();
        self.open.push(QuestionDraft { line, text, metrics, bounds: Vec::new(), answer: Vec::new() });
    }
}

impl QuestionDraft {
    fn finish(self) -> Result<Question, String> {
        let refused = self.answer.first().filter(|(word, _)| word == "refused").map(|(_, rest)| rest.clone());
        let ask = match (refused, self.metrics) {
            _ if self.answer.is_empty() => return Err("a query without an answer".to_owned()),
            (Some(text), false) => Ask::RefusedSearch(text),
            (Some(text), true) => Ask::RefusedMetrics(text),
            (None, false) => self.search()?,
            (None, true) => self.metrics()?,
        };
        Ok(Question { line: self.line, text: self.text, ask })
    }

    fn search(&self) -> Result<Ask, String> {
        let mut request = unbounded(&self.text)?;
        for (word, rest) in &self.bounds {
            let mut words = Words::new(rest);
            match word.as_str() {
                "limit" => request.limit = words.number()?,
                "spss" => request.spans_per_span_set = words.number()?,
                "range" => {
                    request.range = TimeRange { start: instant(&mut words)?, end: instant(&mut words)? }
                }
                "min" => request.min_duration = Some(length(&mut words)?),
                "max" => request.max_duration = Some(length(&mut words)?),
                _ => return Err(format!("{word} is for metrics")),
            }
            words.end()?;
        }
        let mut expected = ExpectedTraces::default();
        for (word, rest) in &self.answer {
            add_answer(&mut expected, word, rest).map_err(|reason| format!("{reason}: {word} {rest}"))?;
        }
        Ok(Ask::Search(request, expected))
    }

    fn metrics(&self) -> Result<Ask, String> {
        let mut request = aligned(&self.text)?;
        for (word, rest) in &self.bounds {
            let mut words = Words::new(rest);
            let (start, end) = (instant(&mut words)?, instant(&mut words)?);
            request.window = match word.as_str() {
                "window" => range(start, end, length(&mut words)?)?,
                "instant" => MetricsWindow::Instant { start, end },
                _ => return Err(format!("{word} is for searches")),
            };
            words.end()?;
        }
        let mut expected = ExpectedAnswer::default();
        for (word, rest) in &self.answer {
            let series = || series(rest).map_err(|reason| format!("{reason}: {rest}"));
            match word.as_str() {
                "nothing" => {}
                "series" => expected.series.push(series()?),
                "has" => expected.has.push(series()?),
                "lacks" => expected.lacks.push(series()?.labels),
                _ => return Err(format!("unknown word {word}")),
            }
        }
        Ok(Ask::Metrics(request, expected))
    }
}

fn range(start: UnixNanos, end: UnixNanos, step: u64) -> Result<MetricsWindow, String> {
    let aligned = step > 0 && start.is_multiple_of(step) && end.is_multiple_of(step);
    aligned.then_some(MetricsWindow::Range { start, end, step }).ok_or_else(|| "not aligned".to_owned())
}

/// `{labels} TIME=VALUE ...`
fn series(text: &str) -> Result<ExpectedSeries, String> {
    let mut words = Words::new(text);
    let mut labels = words.object()?;
    sort_attributes(&mut labels);
    let mut samples = Vec::new();
    while !words.is_empty() {
        let (time, value) = words.pair()?;
        let time = instant(&mut Words::new(&time))?;
        let value = value.parse().map_err(|_| format!("{value} is no number"))?;
        samples.push(Sample { timestamp_ms: (time / 1_000_000) as i64, value });
    }
    Ok(ExpectedSeries { labels, samples })
}

fn add_answer(expected: &mut ExpectedTraces, word: &str, rest: &str) -> Result<(), String> {
    let mut words = Words::new(rest);
    match word {
        "nothing" => words.end(),
        "matched" => {
            let trace = words.trace_id()?;
            let counts = expected.matched.entry(trace).or_default();
            while !words.is_empty() {
                counts.push(words.number()?);
            }
            Ok(())
        }
        "root" => {
            let trace = words.trace_id()?;
            expected.roots.insert(trace, (words.next()?, words.next()?));
            words.end()
        }
        "shows" => {
            let key = (words.trace_id()?, words.span_id()?);
            let mut attributes = words.object()?;
            sort_attributes(&mut attributes);
            expected.attributes.insert(key, attributes);
            words.end()
        }
        _ => {
            let trace = word.strip_suffix(':').ok_or("unknown word")?;
            let trace: TraceId = trace.parse().map_err(|e| format!("{e}"))?;
            let set = span_set(&mut words)?;
            match expected.traces.last_mut() {
                Some((last, sets)) if *last == trace => sets.push(set),
                _ => expected.traces.push((trace, vec![set])),
            }
            Ok(())
        }
    }
}

/// `SPAN ... {attributes}`
fn span_set(words: &mut Words<'_>) -> Result<ExpectedSet, String> {
    let mut spans: Vec<SpanId> = Vec::new();
    while !words.is_empty() && !words.at_object() {
        spans.push(words.span_id()?);
    }
    let attributes = words.at_object().then(|| words.object()).transpose()?;
    words.end()?;
    let sorted = |mut attributes: Vec<_>| {
        sort_attributes(&mut attributes);
        attributes
    };
    Ok(ExpectedSet { spans, attributes: attributes.map(sorted) })
}

fn instant(words: &mut Words<'_>) -> Result<UnixNanos, String> {
    words.duration().map(|offset| BASE_TIME.saturating_add_signed(offset))
}

fn length(words: &mut Words<'_>) -> Result<u64, String> {
    u64::try_from(words.duration()?).map_err(|_| "a length is not negative".to_owned())
}
