//! Profiles of a running server.

use std::io::Read;

use prost::Message;
use vivace_e2e::{Client, Server, ServerBuilder};

use crate::metrics::busy_server;
use crate::recent;

/// `perftools.profiles.Profile`, as far as it is looked at.
#[derive(Clone, PartialEq, Message)]
struct Profile {
    #[prost(message, repeated, tag = "1")]
    sample_type: Vec<ValueType>,
    #[prost(message, repeated, tag = "2")]
    sample: Vec<Sample>,
    #[prost(message, repeated, tag = "3")]
    mapping: Vec<Mapping>,
    #[prost(string, repeated, tag = "6")]
    strings: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct ValueType {
    #[prost(int64, tag = "1")]
    name: i64,
    #[prost(int64, tag = "2")]
    unit: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Sample {
    #[prost(uint64, repeated, tag = "1")]
    location: Vec<u64>,
    #[prost(int64, repeated, tag = "2")]
    value: Vec<i64>,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Mapping {
    #[prost(int64, tag = "5")]
    filename: i64,
}

impl Profile {
    fn read(body: &[u8]) -> Self {
        let mut bytes = Vec::new();
        flate2::read::GzDecoder::new(body).read_to_end(&mut bytes).expect("a profile is gzipped");
        Self::decode(bytes.as_slice()).expect("a profile is a protobuf message")
    }

    fn text(&self, index: i64) -> &str {
        &self.strings[usize::try_from(index).expect("an index")]
    }

    /// Checks what both kinds have; returns the deepest stack.
    fn check(&self, kind: &str) -> usize {
        assert_eq!(self.text(self.sample_type[0].name), kind);
        assert!(!self.sample.is_empty(), "no samples");
        assert!(self.sample.iter().all(|sample| sample.value.len() == 1 && sample.value[0] >= 0));
        let files: Vec<_> = self.mapping.iter().map(|mapping| self.text(mapping.filename)).collect();
        assert!(files.iter().any(|file| file.ends_with("/vivace")), "{files:?}");
        self.sample.iter().map(|sample| sample.location.len()).max().unwrap_or_default()
    }
}

/// Asks all the time; never ends.
async fn keep_busy(client: &Client) {
    loop {
        client.search("{ name =~ \".*a.*\" }", 100, 100, recent()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_of_the_processor_has_the_stacks_of_a_server_at_work() {
    let server = busy_server().await;
    let client = server.client();
    let profile = tokio::select! {
        reply = client.get("/debug/pprof/profile?seconds=2") => Profile::read(&reply.ok().body),
        () = keep_busy(&client) => unreachable!("it never ends"),
    };
    let depth = profile.check("cpu");
    assert!(depth > 5, "no stack is deeper than {depth}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_heap_profile_has_the_stacks_of_what_is_allocated() {
    let server = ServerBuilder::new().environment("_RJEM_MALLOC_CONF", "prof_active:true").start().await;
    let profile = Profile::read(&server.client().get("/debug/pprof/heap").await.ok().body);
    let depth = profile.check("inuse_space");
    assert!(depth > 5, "no stack is deeper than {depth}");
    let later = Server::start().await;
    let profile = Profile::read(&later.client().get("/debug/pprof/heap?seconds=1").await.ok().body);
    assert_eq!(profile.text(profile.sample_type[0].name), "inuse_space");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_profile_is_taken_at_a_time_and_given_up_with_its_client() {
    let server = Server::start().await;
    let client = server.client();
    let mut long = start_long(&client);
    while client.get("/debug/pprof/heap?seconds=1").await.status != 429 {
        if long.is_finished() {
            // It came while the short one was taken.
            long = start_long(&client);
        }
    }
    let refused = client.get("/debug/pprof/profile?seconds=1").await.expect(429);
    assert_ne!(refused.header("retry-after"), "");
    long.abort();
    while client.get("/debug/pprof/profile?seconds=1").await.status != 200 {}
    for seconds in ["0", "61", "x"] {
        client.get(&format!("/debug/pprof/profile?seconds={seconds}")).await.expect(400);
    }
}

fn start_long(client: &Client) -> tokio::task::JoinHandle<u16> {
    let client = client.clone();
    tokio::spawn(async move { client.get("/debug/pprof/profile?seconds=60").await.status })
}

#[tokio::test(flavor = "multi_thread")]
async fn profiles_can_be_turned_off() {
    let server = ServerBuilder::new().config("pprof_enabled", "false").start().await;
    for path in ["profile", "heap"] {
        server.client().get(&format!("/debug/pprof/{path}?seconds=1")).await.expect(404);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_that_memory_does_not_hold_is_refused() {
    let server = ServerBuilder::new().flag("--memory-limit=100MiB").start().await;
    let refused = server.client().get("/debug/pprof/profile?seconds=1").await.expect(429);
    assert!(refused.text().contains("no memory"), "{}", refused.text());
}
