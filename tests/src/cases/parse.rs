//! Lines of a case file.

use vivace_base::UnixNanos;
use vivace_model::{SpanId, TimeRange, TraceId, Value};
use vivace_testkit::BASE_TIME;

use super::span::{self, Words};
use super::{Case, Expected, Question, unbounded};
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
    reader.case.queries.append(&mut reader.open);
    let unanswered = reader.case.queries.iter().find(|question| !question.answered);
    assert!(unanswered.is_none(), "{name}.case: a query without an answer: {unanswered:?}");
    let queries = reader.case.queries.into_iter().map(|draft| draft.question).collect();
    Case { spans: reader.case.spans.into_iter().map(span::Draft::finish).collect(), queries }
}

#[derive(Default)]
struct Reader {
    case: Drafts,
    /// Queries in a row share what follows them.
    open: Vec<QuestionDraft>,
}

#[derive(Default)]
struct Drafts {
    spans: Vec<span::Draft>,
    queries: Vec<QuestionDraft>,
}

#[derive(Debug)]
struct QuestionDraft {
    question: Question,
    answered: bool,
    bounded: bool,
}

impl Reader {
    fn line(&mut self, number: usize, line: &str) -> Result<(), String> {
        let line = line.trim();
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "" => Ok(()),
            _ if word.starts_with('#') => Ok(()),
            "span" => {
                self.case.spans.push(span::Draft::parse(rest)?);
                Ok(())
            }
            "attributes" | "resource" | "instrumentation" | "event" | "link" => {
                self.case.spans.last_mut().ok_or("no span yet")?.detail(word, rest)
            }
            "query" => self.query(number, rest),
            "limit" | "spss" | "range" | "min" | "max" => self.bound(word, rest),
            _ if self.open.is_empty() => Err("no query yet".to_owned()),
            _ => self.answer(word, rest),
        }
    }

    fn query(&mut self, line: usize, text: &str) -> Result<(), String> {
        if self.open.iter().any(|draft| draft.answered || draft.bounded) {
            self.case.queries.append(&mut self.open);
        }
        let text = text.trim().to_owned();
        let request = unbounded(&text)?;
        let question = Question { line, text, request, expected: Expected::default() };
        self.open.push(QuestionDraft { question, answered: false, bounded: false });
        Ok(())
    }

    fn bound(&mut self, word: &str, rest: &str) -> Result<(), String> {
        if self.open.is_empty() {
            return Err("no query yet".to_owned());
        }
        for draft in &mut self.open {
            draft.bounded = true;
            let request = &mut draft.question.request;
            let mut words = Words::new(rest);
            match word {
                "limit" => request.limit = words.number()?,
                "spss" => request.spans_per_span_set = words.number()?,
                "range" => {
                    request.range = TimeRange { start: instant(&mut words)?, end: instant(&mut words)? }
                }
                "min" => request.min_duration = Some(length(&mut words)?),
                _ => request.max_duration = Some(length(&mut words)?),
            }
            words.end()?;
        }
        Ok(())
    }

    fn answer(&mut self, word: &str, rest: &str) -> Result<(), String> {
        for draft in &mut self.open {
            draft.answered = true;
            add_answer(&mut draft.question.expected, word, rest)?;
        }
        Ok(())
    }
}

fn add_answer(expected: &mut Expected, word: &str, rest: &str) -> Result<(), String> {
    let mut words = Words::new(rest);
    match word {
        "nothing" => words.end(),
        "matched" => {
            let trace = words.trace_id()?;
            expected.matched.insert(trace, words.number()?);
            words.end()
        }
        "root" => {
            let trace = words.trace_id()?;
            expected.roots.insert(trace, (words.next()?, words.next()?));
            words.end()
        }
        "shows" => {
            let key = (words.trace_id()?, words.span_id()?);
            let mut attributes: Vec<(String, Value)> =
                words.attributes()?.into_iter().map(|pair| (pair.key, pair.value)).collect();
            sort_attributes(&mut attributes);
            expected.attributes.insert(key, attributes);
            Ok(())
        }
        _ => {
            let trace = word.strip_suffix(':').ok_or("unknown word")?;
            let trace: TraceId = trace.parse().map_err(|e| format!("{e}"))?;
            let mut spans: Vec<SpanId> = Vec::new();
            while !words.is_empty() {
                spans.push(words.span_id()?);
            }
            expected.traces.push((trace, spans));
            Ok(())
        }
    }
}

fn instant(words: &mut Words<'_>) -> Result<UnixNanos, String> {
    words.duration().map(|offset| BASE_TIME.saturating_add_signed(offset))
}

fn length(words: &mut Words<'_>) -> Result<u64, String> {
    u64::try_from(words.duration()?).map_err(|_| "a length is not negative".to_owned())
}
