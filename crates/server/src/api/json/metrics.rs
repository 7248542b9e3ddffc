use vivace_query::{Exemplar, MetricsResponse, Sample, SearchMetrics, Series};

use super::chunks::Pieces;
use super::search;
use super::value::key_value;
use super::writer::{Object, string};

/// `QueryRangeResponse` or `QueryInstantResponse`, a series a piece.
#[derive(Debug)]
pub(super) struct MetricsJson {
    series: std::vec::IntoIter<Series>,
    metrics: SearchMetrics,
    partial: Option<String>,
    write: fn(&Series, &mut String),
    place: Place,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Start,
    First,
    Series,
    End,
}

impl MetricsJson {
    pub(super) fn range(found: MetricsResponse) -> Self {
        Self::new(found, series_over_time)
    }

    pub(super) fn instant(found: MetricsResponse) -> Self {
        Self::new(found, series_at_once)
    }

    fn new(found: MetricsResponse, write: fn(&Series, &mut String)) -> Self {
        let series = found.series.into_iter();
        Self { series, metrics: found.metrics, partial: found.partial, write, place: Place::Start }
    }

    fn write_end(&self, out: &mut String) {
        out.push_str("],\"metrics\":");
        search::metrics(&self.metrics, out);
        if let Some(message) = &self.partial {
            out.push_str(r#","status":"PARTIAL","message":"#);
            string(out, message);
        }
        out.push('}');
    }
}

impl Pieces for MetricsJson {
    fn write_next(&mut self, out: &mut String) -> bool {
        match self.place {
            Place::End => return false,
            Place::Start => {
                out.push_str(r#"{"series":["#);
                self.place = Place::First;
            }
            Place::First | Place::Series => match self.series.next() {
                Some(series) => {
                    if self.place == Place::Series {
                        out.push(',');
                    }
                    (self.write)(&series, out);
                    self.place = Place::Series;
                }
                None => {
                    self.write_end(out);
                    self.place = Place::End;
                }
            },
        }
        true
    }
}

fn series_over_time(series: &Series, out: &mut String) {
    let mut object = Object::open(out);
    object.list("labels", &series.labels, |(key, value), out| key_value(key, value, out));
    object.array("samples", &series.samples, sample);
    object.list("exemplars", &series.exemplars, exemplar);
    object.close();
}

fn series_at_once(series: &Series, out: &mut String) {
    let mut object = Object::open(out);
    object.list("labels", &series.labels, |(key, value), out| key_value(key, value, out));
    object.f64("value", series.samples.first().map_or(0.0, |sample| sample.value));
    object.close();
}

fn sample(sample: &Sample, out: &mut String) {
    let mut object = Object::open(out);
    object.i64("timestampMs", sample.timestamp_ms);
    object.f64("value", sample.value);
    object.close();
}

fn exemplar(exemplar: &Exemplar, out: &mut String) {
    let mut object = Object::open(out);
    object.list("labels", &exemplar.labels, |(key, value), out| key_value(key, value, out));
    object.f64("value", exemplar.value);
    object.i64("timestampMs", exemplar.timestamp_ms);
    object.close();
}
