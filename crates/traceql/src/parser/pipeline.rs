use super::scalar::Family;
use super::spanset::{Term, TermKind};
use super::{Parsed, Parser};
use crate::ast::{
    Hint, MathExpr, MathQuery, MetricsFunction, MetricsPipeline, MetricsSource, Pipeline, Query, ScalarExpr,
    SecondStage, SpansetExpr, Stage, precedence,
};
use crate::error::ErrorStage;
use crate::token::is_keyword;

/// What stands between brackets, or is the whole query: stages joined by `|` and what they end in.
pub(super) struct Sequence {
    stages: Vec<Stage>,
    tail: Tail,
    depth: u32,
    /// The only stage has a pipeline in brackets for operand.
    piped: bool,
}

enum Tail {
    /// The last stage yields spansets.
    None,
    Scalar {
        expr: ScalarExpr,
        family: Family,
    },
    Metrics {
        function: MetricsFunction,
        second: Vec<SecondStage>,
    },
    Math {
        expr: MathExpr,
        second: Vec<SecondStage>,
        /// Index of the token after `expr`.
        after: usize,
    },
}

impl Parser<'_> {
    pub(super) fn query(&mut self) -> Parsed<Query> {
        let Sequence { stages, tail, .. } = self.sequence()?;
        let (metrics, expecting) = match tail {
            Tail::None => (None, ""),
            Tail::Scalar { .. } => return Err(self.unexpected("comparison")),
            Tail::Metrics { function, second } => {
                (Some(MetricsPipeline { source: MetricsSource::Function(function), second }), "")
            }
            Tail::Math { expr, second, .. } => {
                (Some(MetricsPipeline { source: MetricsSource::Math(expr), second }), "")
            }
        };
        let mut hints = Vec::new();
        while self.accept_word("with") {
            hints = self.hints()?;
        }
        self.expect_end(expecting)?;
        Ok(Query { pipeline: Pipeline { stages }, metrics, hints })
    }

    fn hints(&mut self) -> Parsed<Vec<Hint>> {
        self.expect("(")?;
        let mut hints = vec![self.hint()?];
        while self.accept(",") {
            hints.push(self.hint()?);
        }
        self.expect(")")?;
        Ok(hints)
    }

    fn hint(&mut self) -> Parsed<Hint> {
        let key = self.word().filter(|word| !is_keyword(word)).map(str::to_owned);
        let Some(key) = key else { return Err(self.unexpected("IDENTIFIER")) };
        self.advance();
        self.expect("=")?;
        let Some(value) = self.literal_here() else { return Err(self.unexpected("literal")) };
        self.advance();
        Ok(Hint { key, value })
    }

    pub(super) fn sequence(&mut self) -> Parsed<Sequence> {
        let mut sequence = Sequence { stages: Vec::new(), tail: Tail::None, depth: 0, piped: false };
        loop {
            let ended = self.stage(&mut sequence)?;
            if ended || !self.accept("|") {
                return Ok(sequence);
            }
        }
    }

    /// Reads one stage into the sequence. True when nothing can follow it.
    fn stage(&mut self, sequence: &mut Sequence) -> Parsed<bool> {
        let is_first = sequence.stages.is_empty();
        let stage = match self.word() {
            Some("by") => {
                let (stage, depth) = self.by()?;
                sequence.depth = sequence.depth.max(depth);
                stage
            }
            Some("select") => {
                self.advance();
                Stage::Select(self.attribute_list()?)
            }
            Some("coalesce") if !is_first => {
                self.advance();
                self.expect("(")?;
                self.expect(")")?;
                Stage::Coalesce
            }
            _ if !is_first && self.at_metrics_function() => {
                let function = self.metrics_function()?;
                let second = self.second_stages(Some(&function))?;
                sequence.tail = Tail::Metrics { function, second };
                return Ok(true);
            }
            _ => {
                let term = self.term_level(precedence::LOGICAL)?;
                return self.term_stage(sequence, term);
            }
        };
        sequence.stages.push(stage);
        Ok(false)
    }

    fn by(&mut self) -> Parsed<(Stage, u32)> {
        self.advance();
        self.expect("(")?;
        let field = self.field_expr()?;
        self.expect(")")?;
        if !field.references_span {
            let message = || format!("grouping needs a field of the span, {} is constant", field.expr);
            self.note(ErrorStage::Validate, field.offset, message);
        }
        Ok((Stage::By(field.expr), field.depth))
    }

    fn term_stage(&mut self, sequence: &mut Sequence, term: Term) -> Parsed<bool> {
        let is_first = sequence.stages.is_empty();
        sequence.depth = sequence.depth.max(term.depth);
        let (stage, piped) = match term.kind {
            TermKind::Spanset { expr, piped } => (Stage::Spanset(expr), piped),
            TermKind::Filter { filter, piped } => (Stage::ScalarFilter(filter), piped),
            TermKind::Scalar { expr, family } => {
                let nested_in_pipeline = !is_first && family != Family::Aggregate;
                if nested_in_pipeline {
                    return Err(self.unexpected_at(term.first, ""));
                }
                sequence.tail = Tail::Scalar { expr, family };
                return Ok(true);
            }
            TermKind::Math(expr) => {
                if !is_first {
                    return Err(self.unexpected_at(term.first, ""));
                }
                let after = self.next;
                let second = self.second_stages(None)?;
                sequence.tail = Tail::Math { expr, second, after };
                return Ok(true);
            }
        };
        if piped && !is_first {
            return Err(self.unexpected_at(term.first, ""));
        }
        sequence.stages.push(stage);
        sequence.piped = piped;
        Ok(piped)
    }

    /// What a sequence in brackets is as an operand. The closing bracket is the token before the next.
    pub(super) fn bracketed(&mut self, sequence: Sequence, first: usize) -> Parsed<Term> {
        let closing = self.next.saturating_sub(1);
        let Sequence { mut stages, tail, depth, piped } = sequence;
        let kind = match tail {
            Tail::None => match stages.pop() {
                Some(Stage::Spanset(expr)) if stages.is_empty() => TermKind::Spanset { expr, piped },
                Some(last) if !piped => {
                    stages.push(last);
                    let expr = SpansetExpr::Pipeline(Box::new(Pipeline { stages }));
                    TermKind::Spanset { expr, piped: true }
                }
                _ => return Err(self.unexpected_at(closing, "")),
            },
            Tail::Scalar { expr, family } if stages.is_empty() => TermKind::Scalar { expr, family },
            Tail::Scalar { expr, .. } => {
                let expr = ScalarExpr::Pipeline { pipeline: Pipeline { stages }, scalar: Box::new(expr) };
                TermKind::Scalar { expr, family: Family::Piped }
            }
            Tail::Metrics { function, second } => {
                let query = MathQuery { pipeline: Pipeline { stages }, function, second };
                TermKind::Math(MathExpr::Query(Box::new(query)))
            }
            Tail::Math { expr, second, .. } if second.is_empty() => TermKind::Math(expr),
            Tail::Math { after, .. } => return Err(self.unexpected_at(after, ")")),
        };
        let offset = self.tokens.get(first).map_or(0, |token| token.start);
        Ok(Term { kind, depth: self.depth_over(depth, 0, offset)?, first })
    }
}
