//! Series a case file expects, and how answers differ from them and from each other.

use vivace_model::Value;
use vivace_query::{Sample, Series};

/// What floats may lose.
const RELATIVE: f64 = 1e-9;
/// What quantiles may be off (`docs/adr/0005`).
const QUANTILE: f64 = 0.005;
/// What quantiles carry; other series do not.
const QUANTILE_LABEL: &str = "p";

/// Labels ordered by key, samples by time.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "described above")]
pub struct ExpectedSeries {
    pub labels: Vec<(String, Value)>,
    pub samples: Vec<Sample>,
}

/// What a metrics query yields.
#[derive(Debug, Clone, Default)]
pub struct ExpectedAnswer {
    /// All series in order.
    pub series: Vec<ExpectedSeries>,
    /// Series that are among others; with these or the next `series` says nothing.
    pub has: Vec<ExpectedSeries>,
    /// Labels of series that are not there.
    pub lacks: Vec<Vec<(String, Value)>>,
}

/// Whether two floats are the same but for rounding. Of numbers that count spans it forgives nothing.
pub(super) fn close(left: f64, right: f64) -> bool {
    within(left, right, RELATIVE)
}

fn within(left: f64, right: f64, relative: f64) -> bool {
    left == right || (left - right).abs() <= relative * left.abs().max(right.abs())
}

impl ExpectedAnswer {
    /// How series differ from those written by hand; [`None`] when they do not. Exemplars are not compared.
    pub fn difference(&self, found: &[Series]) -> Option<String> {
        let mut found = found.to_vec();
        found.iter_mut().for_each(|series| crate::oracle::sort_attributes(&mut series.labels));
        if self.has.is_empty() && self.lacks.is_empty() {
            let expected: Vec<Series> = self.series.iter().map(ExpectedSeries::series).collect();
            return differs_in_series(&expected, &found);
        }
        let missing = self.has.iter().find_map(|expected| {
            let one: Vec<Series> = found.iter().filter(|s| s.labels == expected.labels).cloned().collect();
            differs_in_series(&[expected.series()], &one)
        });
        let there = self.lacks.iter().find(|labels| found.iter().any(|series| series.labels == **labels));
        missing.or_else(|| there.map(|labels| format!("{labels:?} must not be there")))
    }
}

impl ExpectedSeries {
    fn series(&self) -> Series {
        Series { labels: self.labels.clone(), samples: self.samples.clone(), exemplars: Vec::new() }
    }
}

/// How the engine's series differ from the naive ones; [`None`] when they do not. Exemplars are not compared.
pub fn differs_in_series(by_rule: &[Series], found: &[Series]) -> Option<String> {
    let labels = |series: &[Series]| series.iter().map(|s| s.labels.clone()).collect::<Vec<_>>();
    if labels(by_rule) != labels(found) {
        return Some(format!("series\n expected {}\n    found {}", listed(by_rule), listed(found)));
    }
    let mut pairs = by_rule.iter().zip(found);
    pairs.find(|(rule, found)| !same_samples(rule, found)).map(|(rule, found)| {
        let times =
            |series: &Series| series.samples.iter().map(|s| (s.timestamp_ms, s.value)).collect::<Vec<_>>();
        format!("{:?}\n expected {:?}\n    found {:?}", rule.labels, times(rule), times(found))
    })
}

fn same_samples(rule: &Series, found: &Series) -> bool {
    let quantile = rule.labels.iter().any(|(key, _)| key == QUANTILE_LABEL);
    let relative = if quantile { QUANTILE } else { RELATIVE };
    let same = |(rule, found): (&Sample, &Sample)| {
        rule.timestamp_ms == found.timestamp_ms && within(rule.value, found.value, relative)
    };
    rule.samples.len() == found.samples.len() && rule.samples.iter().zip(&found.samples).all(same)
}

fn listed(series: &[Series]) -> String {
    let one = |series: &Series| format!("{:?}", series.labels);
    let all: Vec<String> = series.iter().map(one).collect();
    if all.is_empty() { "none".to_owned() } else { all.join("\n          ") }
}
