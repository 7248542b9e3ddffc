use prost::encoding::message;
use vivace_query::{TagNames, TagScope, TagValue, TagValues};

use super::{LIST, text_len};
use crate::grpc::packets::{Items, Packet, Sent};
use crate::grpc::tempopb;

impl Packet for tempopb::SearchTagsResponse {
    type Answer = TagNames;
    type Item = String;

    fn partial(answer: &Self::Answer) -> Option<&str> {
        answer.partial.as_deref()
    }

    /// The names of all scopes together, sorted.
    fn parts(answer: Self::Answer) -> (Self, Items<Self::Item>) {
        let frame = Self { tag_names: Vec::new(), metrics: metadata(answer.inspected_bytes) };
        let mut names: Vec<String> = answer.scopes.into_values().flatten().collect();
        names.sort_unstable();
        names.dedup();
        (frame, Box::new(names.into_iter()))
    }

    fn item_len(item: &Self::Item) -> usize {
        text_len(item)
    }

    fn push(&mut self, item: Self::Item) {
        self.tag_names.push(item);
    }

    fn fresh(item: Self::Item, sent: &mut Sent) -> Option<Self::Item> {
        sent.is_new(&item).then_some(item)
    }
}

impl Packet for tempopb::SearchTagsV2Response {
    type Answer = TagNames;
    type Item = (TagScope, String);

    fn partial(answer: &Self::Answer) -> Option<&str> {
        answer.partial.as_deref()
    }

    fn parts(answer: Self::Answer) -> (Self, Items<Self::Item>) {
        let frame = Self { scopes: Vec::new(), metrics: metadata(answer.inspected_bytes) };
        let in_scope =
            |(scope, names): (TagScope, Vec<String>)| names.into_iter().map(move |name| (scope, name));
        let items = answer.scopes.into_iter().flat_map(in_scope);
        (frame, Box::new(items))
    }

    fn item_len((_, name): &Self::Item) -> usize {
        text_len(name)
    }

    fn push(&mut self, (scope, name): Self::Item) {
        match self.scopes.last_mut().filter(|last| last.name == scope.name()) {
            Some(last) => last.tags.push(name),
            None => {
                let name_of_scope = scope.name().to_owned();
                self.scopes.push(tempopb::SearchTagsV2Scope { name: name_of_scope, tags: vec![name] });
            }
        }
    }

    fn fresh(item: Self::Item, sent: &mut Sent) -> Option<Self::Item> {
        sent.is_new(&item).then_some(item)
    }
}

impl Packet for tempopb::SearchTagValuesResponse {
    type Answer = TagValues;
    type Item = String;

    fn partial(answer: &Self::Answer) -> Option<&str> {
        answer.partial.as_deref()
    }

    /// The texts, whatever their types, sorted.
    fn parts(answer: Self::Answer) -> (Self, Items<Self::Item>) {
        let frame = Self { tag_values: Vec::new(), metrics: metadata(answer.inspected_bytes) };
        let mut texts: Vec<String> = answer.values.into_iter().map(|value| value.text).collect();
        texts.sort_unstable();
        texts.dedup();
        (frame, Box::new(texts.into_iter()))
    }

    fn item_len(item: &Self::Item) -> usize {
        text_len(item)
    }

    fn push(&mut self, item: Self::Item) {
        self.tag_values.push(item);
    }

    fn fresh(item: Self::Item, sent: &mut Sent) -> Option<Self::Item> {
        sent.is_new(&item).then_some(item)
    }
}

impl Packet for tempopb::SearchTagValuesV2Response {
    type Answer = TagValues;
    type Item = tempopb::TagValue;

    fn partial(answer: &Self::Answer) -> Option<&str> {
        answer.partial.as_deref()
    }

    fn parts(answer: Self::Answer) -> (Self, Items<Self::Item>) {
        let frame = Self { tag_values: Vec::new(), metrics: metadata(answer.inspected_bytes) };
        let typed =
            |value: TagValue| tempopb::TagValue { r#type: value.kind.name().to_owned(), value: value.text };
        (frame, Box::new(answer.values.into_iter().map(typed)))
    }

    fn item_len(item: &Self::Item) -> usize {
        message::encoded_len(LIST, item)
    }

    fn push(&mut self, item: Self::Item) {
        self.tag_values.push(item);
    }

    fn fresh(item: Self::Item, sent: &mut Sent) -> Option<Self::Item> {
        sent.is_new((&item.r#type, &item.value)).then_some(item)
    }
}

fn metadata(inspected_bytes: u64) -> Option<tempopb::MetadataMetrics> {
    Some(tempopb::MetadataMetrics { inspected_bytes, ..tempopb::MetadataMetrics::default() })
}
