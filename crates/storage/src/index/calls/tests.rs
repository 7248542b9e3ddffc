use super::*;

const PLAIN: CallSpan = CallSpan {
    id: [0; 8],
    parent: None,
    kind: SpanKind::Internal,
    failed: false,
    start: 0,
    end: 0,
    service: None,
    peer: None,
    database: None,
};

/// A trace by hand; times count up, each span takes its id.
struct Hand {
    names: Names,
    spans: Vec<CallSpan>,
}

impl Hand {
    fn new() -> Self {
        Self { names: Names::default(), spans: Vec::new() }
    }

    fn span(&mut self, id: u8, parent: u8, service: &str, kind: SpanKind) -> &mut CallSpan {
        let start = 100 + self.spans.len() as u64;
        let parent = (parent > 0).then_some([parent; 8]);
        let service = self.names.number(service);
        let end = start + u64::from(id);
        self.spans.push(CallSpan { id: [id; 8], parent, kind, service, start, end, ..PLAIN });
        self.spans.last_mut().unwrap()
    }

    /// Edges as `client > server type client-nanos server-nanos`, entries as `service nanos`; failed ones with `!`.
    fn found(&self) -> Vec<String> {
        let mut spans = self.spans.clone();
        sort_spans(&mut spans);
        let mut found = Vec::new();
        let name = |number| self.names.text(number);
        let nanos = |nanos: Option<u64>| nanos.map_or("-".to_owned(), |nanos| nanos.to_string());
        calls(&spans, &self.names, |call| {
            found.push(match call {
                Call::Edge(edge) => format!(
                    "{} > {} {:?} {} {}{}",
                    name(edge.client),
                    name(edge.server),
                    edge.connection,
                    nanos(edge.client_nanos),
                    nanos(edge.server_nanos),
                    if edge.failed { "!" } else { "" }
                ),
                Call::Entry(entry) => {
                    format!("{} {}{}", name(entry.service), entry.nanos, if entry.failed { "!" } else { "" })
                }
            });
        });
        found.sort();
        found
    }
}

use SpanKind::{Client, Consumer, Internal, Producer, Server};

#[test]
fn a_chain_of_proxies_is_one_call() {
    let mut hand = Hand::new();
    hand.span(1, 0, "gateway", Client);
    hand.span(2, 1, "shop", Server);
    hand.span(3, 2, "shop", Server);
    hand.span(4, 3, "shop", Internal);
    hand.span(5, 4, "shop", Client).peer = Some(0);
    hand.span(6, 5, "shop", Client);
    hand.span(7, 6, "cart", Server).failed = true;
    hand.span(8, 7, "cart", Server);
    let expected = ["cart 7!", "gateway > shop Request 1 2", "shop 2", "shop > cart Request 6 7!"];
    assert_eq!(hand.found(), expected);
}

#[test]
fn a_waypoint_that_does_not_say_it_asks_still_calls() {
    let mut hand = Hand::new();
    hand.span(1, 0, "shop", Client);
    hand.span(2, 1, "waypoint", Server);
    hand.span(3, 2, "cart", Server);
    let expected = ["cart 3", "shop > waypoint Request 1 2", "waypoint 2", "waypoint > cart Request - 3"];
    assert_eq!(hand.found(), expected);
}

#[test]
fn shared_ids_pair_as_zipkin_has_them() {
    let mut hand = Hand::new();
    hand.span(1, 0, "a", Client);
    hand.span(1, 0, "b", Server);
    hand.span(2, 1, "b", Client);
    hand.span(2, 1, "c", Server);
    let expected = ["a > b Request 1 1", "b 1", "b > c Request 2 2", "c 2"];
    assert_eq!(hand.found(), expected);
}

#[test]
fn databases_messages_and_virtual_nodes() {
    let mut hand = Hand::new();
    hand.span(1, 0, "shop", Server);
    let database = hand.names.number("db");
    hand.span(2, 1, "shop", Client).database = database;
    hand.span(3, 1, "shop", Producer);
    hand.span(4, 3, "mail", Consumer);
    let peer = hand.names.number("bank");
    let unanswered = hand.span(5, 1, "shop", Client);
    (unanswered.peer, unanswered.failed) = (peer, true);
    // No service, no peer, a parent that is not there.
    hand.span(6, 1, "shop", Client);
    hand.span(7, 9, "late", Server);
    hand.span(8, 1, "", Server);
    let expected = [
        "late 7",
        "mail 4",
        "shop 1",
        "shop > bank VirtualServer 5 -!",
        "shop > db Database 2 2",
        "shop > mail Messaging 3 4",
        "user > shop VirtualClient - 1",
    ];
    assert_eq!(hand.found(), expected);
}

#[test]
fn a_span_sent_twice_counts_once_and_cycles_end() {
    let mut hand = Hand::new();
    hand.span(1, 2, "a", Client);
    hand.span(2, 1, "b", Server);
    hand.span(2, 1, "b", Server).failed = true;
    assert_eq!(hand.found(), ["a > b Request 1 2", "b 2"]);
}

#[test]
fn only_so_many_names_are_told_apart_and_long_ones_are_cut() {
    let mut names = Names::default();
    let long = "ä".repeat(200);
    let number = names.number(&long).unwrap();
    assert_eq!(names.text(number), "ä".repeat(128));
    for at in 0..MAX_NAMES {
        names.number(&at.to_string());
    }
    assert!(names.overflown());
    assert_eq!(names.texts().len(), MAX_NAMES);
    assert_eq!(names.number("another"), None);
    assert_eq!(names.number("7").map(|number| names.text(number).to_owned()), Some("7".to_owned()));
}
