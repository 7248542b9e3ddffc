use prost::Message;
use prost::encoding::message;
use vivace_query::{MetricsResponse, Series};

use super::{LIST, exemplar, key_values, search_metrics};
use crate::grpc::packets::{Items, Packet, Sent};
use crate::grpc::tempopb;

impl Packet for tempopb::QueryRangeResponse {
    type Answer = MetricsResponse;
    type Item = tempopb::TimeSeries;

    fn partial(answer: &Self::Answer) -> Option<&str> {
        answer.partial.as_deref()
    }

    fn parts(answer: Self::Answer) -> (Self, Items<Self::Item>) {
        let frame = Self { metrics: Some(search_metrics(&answer.metrics)), ..Self::default() };
        (frame, Box::new(answer.series.into_iter().map(time_series)))
    }

    fn item_len(item: &Self::Item) -> usize {
        message::encoded_len(LIST, item)
    }

    fn push(&mut self, item: Self::Item) {
        self.series.push(item);
    }

    /// Sample by sample, as a series grows.
    fn fresh(mut item: Self::Item, sent: &mut Sent) -> Option<Self::Item> {
        let labels: Vec<Vec<u8>> = item.labels.iter().map(Message::encode_to_vec).collect();
        item.samples.retain(|sample| sent.is_new((&labels, sample.timestamp_ms, sample.value.to_bits())));
        item.exemplars.retain(|exemplar| sent.is_new((&labels, exemplar.encode_to_vec())));
        (!item.samples.is_empty() || !item.exemplars.is_empty()).then_some(item)
    }

    fn mark_partial(&mut self, reason: &str) {
        self.status = tempopb::PartialStatus::Partial.into();
        self.message = reason.to_owned();
    }
}

fn time_series(series: Series) -> tempopb::TimeSeries {
    let sample = |sample: vivace_query::Sample| tempopb::Sample {
        value: sample.value,
        timestamp_ms: sample.timestamp_ms,
    };
    tempopb::TimeSeries {
        labels: key_values(&series.labels),
        samples: series.samples.into_iter().map(sample).collect(),
        exemplars: series.exemplars.into_iter().map(exemplar).collect(),
    }
}

impl Packet for tempopb::QueryInstantResponse {
    type Answer = MetricsResponse;
    type Item = tempopb::InstantSeries;

    fn partial(answer: &Self::Answer) -> Option<&str> {
        answer.partial.as_deref()
    }

    fn parts(answer: Self::Answer) -> (Self, Items<Self::Item>) {
        let frame = Self { metrics: Some(search_metrics(&answer.metrics)), ..Self::default() };
        let items = answer.series.into_iter().filter_map(instant_series);
        (frame, Box::new(items))
    }

    fn item_len(item: &Self::Item) -> usize {
        message::encoded_len(LIST, item)
    }

    fn push(&mut self, item: Self::Item) {
        self.series.push(item);
    }

    fn fresh(item: Self::Item, sent: &mut Sent) -> Option<Self::Item> {
        sent.is_new(item.encode_to_vec()).then_some(item)
    }

    fn mark_partial(&mut self, reason: &str) {
        self.status = tempopb::PartialStatus::Partial.into();
        self.message = reason.to_owned();
    }
}

fn instant_series(series: Series) -> Option<tempopb::InstantSeries> {
    let value = series.samples.first()?.value;
    Some(tempopb::InstantSeries { labels: key_values(&series.labels), value })
}
