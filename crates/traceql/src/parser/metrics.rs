use super::{Parsed, Parser};
use crate::ast::{Attribute, BinaryOp, MetricsFunction, MetricsOp, SecondStage};
use crate::error::ErrorStage;
use crate::token::TokenKind;

/// Values `compare()` lists per attribute where the query does not say.
const DEFAULT_TOP_N: i64 = 10;
const MAX_TOP_N: i64 = 1_000;
/// Attributes a series may be grouped by.
const MAX_GROUPS: usize = 5;

const FUNCTIONS: &[&str] = &[
    "rate",
    "count_over_time",
    "min_over_time",
    "max_over_time",
    "sum_over_time",
    "avg_over_time",
    "quantile_over_time",
    "histogram_over_time",
    "compare",
];

impl Parser<'_> {
    pub(super) fn at_metrics_function(&self) -> bool {
        self.word().is_some_and(|word| FUNCTIONS.contains(&word))
    }

    /// `fn args ('by' '(' attr (',' attr)* ')')?`
    pub(super) fn metrics_function(&mut self) -> Parsed<MetricsFunction> {
        let op = self.metrics_op()?;
        let mut by = Vec::new();
        if self.word() == Some("by") && !matches!(op, MetricsOp::Compare { .. }) {
            let offset = self.offset();
            self.advance();
            by = self.attribute_list()?;
            self.check_groups(&op, by.len(), offset);
        }
        Ok(MetricsFunction { op, by })
    }

    fn check_groups(&mut self, op: &MetricsOp, count: usize, offset: usize) {
        let adds_label = matches!(
            op,
            MetricsOp::QuantileOverTime { .. } | MetricsOp::HistogramOverTime(_) | MetricsOp::AvgOverTime(_)
        );
        let maximum = if adds_label { MAX_GROUPS - 1 } else { MAX_GROUPS };
        if count > maximum {
            let message = || format!("metrics group by {count} values not yet supported, at most {maximum}");
            self.note(ErrorStage::Validate, offset, message);
        }
    }

    fn metrics_op(&mut self) -> Parsed<MetricsOp> {
        let over: fn(Attribute) -> MetricsOp = match self.word() {
            Some("rate") => return self.without_arguments(MetricsOp::Rate),
            Some("count_over_time") => return self.without_arguments(MetricsOp::CountOverTime),
            Some("quantile_over_time") => return self.quantile(),
            Some("compare") => return self.compare(),
            Some("min_over_time") => MetricsOp::MinOverTime,
            Some("max_over_time") => MetricsOp::MaxOverTime,
            Some("sum_over_time") => MetricsOp::SumOverTime,
            Some("avg_over_time") => MetricsOp::AvgOverTime,
            Some("histogram_over_time") => MetricsOp::HistogramOverTime,
            _ => return Err(self.unexpected("")),
        };
        self.advance();
        self.expect("(")?;
        let attribute = self.attribute()?;
        self.expect(")")?;
        Ok(over(attribute))
    }

    fn without_arguments(&mut self, op: MetricsOp) -> Parsed<MetricsOp> {
        self.advance();
        self.expect("(")?;
        self.expect(")")?;
        Ok(op)
    }

    fn quantile(&mut self) -> Parsed<MetricsOp> {
        self.advance();
        self.expect("(")?;
        let attribute = self.attribute()?;
        let mut quantiles = Vec::new();
        loop {
            self.expect(",")?;
            let quantile = match self.peek() {
                TokenKind::Int(value) => *value as f64,
                TokenKind::Float(value) => *value,
                _ => return Err(self.unexpected("number")),
            };
            if !(0.0..=1.0).contains(&quantile) {
                let message = || format!("a quantile must be between 0 and 1, not {quantile}");
                self.note(ErrorStage::Validate, self.offset(), message);
            }
            self.advance();
            quantiles.push(quantile);
            if self.accept(")") {
                return Ok(MetricsOp::QuantileOverTime { attribute, quantiles });
            }
        }
    }

    /// `compare({selection})`, `compare({selection}, top_n)`, `compare({selection}, top_n, start, end)`.
    fn compare(&mut self) -> Parsed<MetricsOp> {
        self.advance();
        self.expect("(")?;
        let (selection, _) = self.filter()?;
        let mut top_n = DEFAULT_TOP_N;
        let mut window = None;
        if self.accept(",") {
            let offset = self.offset();
            top_n = self.integer()?;
            if !(1..=MAX_TOP_N).contains(&top_n) {
                let message = || format!("compare() lists 1 to {MAX_TOP_N} values, not {top_n}");
                self.note(ErrorStage::Validate, offset, message);
            }
        }
        if self.accept(",") {
            let offset = self.offset();
            let start = self.integer()?;
            self.expect(",")?;
            let end = self.integer()?;
            if start <= 0 || end <= start {
                let message =
                    || format!("compare() needs 0 < start < end in Unix nanoseconds, not {start}, {end}");
                self.note(ErrorStage::Validate, offset, message);
            }
            window = Some((start, end));
        }
        self.expect(")")?;
        Ok(MetricsOp::Compare { selection, top_n, window })
    }

    fn integer(&mut self) -> Parsed<i64> {
        let TokenKind::Int(value) = *self.peek() else { return Err(self.unexpected("INTEGER")) };
        self.advance();
        Ok(value)
    }

    /// `stage2*` after a function, or after metrics arithmetic where there is none.
    pub(super) fn second_stages(&mut self, function: Option<&MetricsFunction>) -> Parsed<Vec<SecondStage>> {
        let compares = function.is_some_and(|function| matches!(function.op, MetricsOp::Compare { .. }));
        let mut second = Vec::new();
        loop {
            let offset = self.offset();
            let Some(stage) = self.second_stage()? else { return Ok(second) };
            if compares {
                let message = || "compare() cannot be followed by a second stage".to_owned();
                self.note(ErrorStage::Validate, offset, message);
            }
            second.push(stage);
        }
    }

    fn second_stage(&mut self) -> Parsed<Option<SecondStage>> {
        if self.accept("|") {
            return match self.word() {
                Some("topk") => self.limit("topk").map(|limit| Some(SecondStage::TopK(limit))),
                Some("bottomk") => self.limit("bottomk").map(|limit| Some(SecondStage::BottomK(limit))),
                _ => Err(self.unexpected("topk or bottomk")),
            };
        }
        let op = self.symbol().and_then(BinaryOp::from_symbol);
        let Some(op) = op.filter(|op| op.is_comparison() && !op.is_regex()) else { return Ok(None) };
        self.advance();
        Ok(Some(SecondStage::Filter { op, value: self.constant()? }))
    }

    fn limit(&mut self, name: &str) -> Parsed<i64> {
        self.advance();
        self.expect("(")?;
        let offset = self.offset();
        let limit = self.integer()?;
        if limit <= 0 {
            let message = || format!("{name} needs a number above 0, not {limit}");
            self.note(ErrorStage::Validate, offset, message);
        }
        self.expect(")")?;
        Ok(limit)
    }
}
