//! What the server stands on gives way: spans that were acknowledged stay, others are refused with a word of when to try
//! again, and when it is there again all goes on without a restart.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;
use vivace_e2e::otlp::{self, Compression, Encoding};
use vivace_e2e::spans::{MILLISECOND, attribute, batch, hex_id, scope, service, span, text};
use vivace_e2e::{Reply, Server, ServerBuilder};

use crate::ten_minutes_ago;

/// About so many bytes a span.
const SPAN_BYTES: usize = 20_000;
const SPANS: u64 = 20;
/// More than any limit of these tests.
const MOST: u64 = 1_000;

fn trace_id(number: u64) -> [u8; 16] {
    let mut id = [0x55; 16];
    id[8..].copy_from_slice(&number.to_be_bytes());
    id
}

/// Sends one trace of some hundred kilobytes.
async fn send(server: &Server, number: u64) -> Reply {
    let start = ten_minutes_ago() + number * MILLISECOND;
    let spans = (0..SPANS).map(|at| {
        let mut span = span(trace_id(number), at + 1, (at > 0).then_some(1), "call", start);
        // Nothing that packs well, and no key longer than is kept.
        let value = |part: usize| format!("{number:x}-{at:x}-{part:x}-").repeat(100);
        span.attributes.extend(
            (0..SPAN_BYTES / 1_500).map(|part| attribute(&format!("key-{part}"), text(&value(part)))),
        );
        span
    });
    let spans = vec![batch(service("pressed"), scope("x", "1"), spans.collect())];
    let reply = server.otlp().export(&otlp::request(spans), Encoding::Protobuf, Compression::None).await;
    reply.expect("an answer")
}

/// Sends traces until one is refused: how many were taken.
async fn fill(server: &Server, mut number: u64) -> u64 {
    loop {
        let reply = send(server, number).await;
        if reply.status != 200 {
            assert!(matches!(reply.status, 429 | 503), "{}: {}", reply.status, reply.text());
            assert!(!reply.header("retry-after").is_empty(), "no word of when to try again");
            println!("refused after {number} traces: {} {}", reply.status, reply.text());
            return number;
        }
        number += 1;
        assert!(number < MOST, "there is no end to what it takes");
    }
}

/// Sends until it is taken, as a client does that was told to try again.
async fn send_until_taken(server: &Server, number: u64) {
    for _ in 0..600 {
        if send(server, number).await.status == 200 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("it does not recover");
}

async fn assert_all_found(server: &Server, count: u64) {
    for number in 0..count {
        let trace = server.client().trace(&hex_id(trace_id(number))).await;
        let trace =
            trace.unwrap_or_else(|| panic!("trace {number} of {count} was acknowledged and is not found"));
        let spans = trace.resource_spans.iter().flat_map(|of| &of.scope_spans).map(|of| of.spans.len());
        assert_eq!(spans.sum::<usize>() as u64, SPANS, "trace {number}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_object_store_is_away_spans_wait_in_the_log_up_to_its_limit() {
    let place = tempfile::tempdir().expect("a temporary directory can be made");
    let (objects, away) = (place.path().join("objects"), place.path().join("away"));
    let builder = ServerBuilder::new()
        .config("storage_url", &format!("file://{}", objects.display()))
        .config("max_block_bytes", "1MiB")
        .config("max_wal_bytes", "32MiB");
    let server = builder.start().await;
    for number in 0..10 {
        send(&server, number).await.ok();
    }
    // A file in its place: nothing can be read or written below it.
    std::fs::rename(&objects, &away).expect("the store can be moved");
    std::fs::write(&objects, "").expect("a file can be written");
    let taken = fill(&server, 10).await;
    assert!(taken > 50, "only {taken} were taken");
    std::fs::remove_file(&objects).expect("the file can be removed");
    std::fs::rename(&away, &objects).expect("the store can be moved back");
    send_until_taken(&server, taken).await;
    assert_all_found(&server, taken + 1).await;
    let server = server.kill().start().await;
    assert_all_found(&server, taken + 1).await;
}

/// A file system of its own in memory, until it is dropped.
struct Mount(TempDir);

impl Mount {
    /// [`None`] and a line that says so where none may be made.
    fn or_skip(options: &str) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a temporary directory can be made");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "vivace-test"])
            .arg(folder.path())
            .output();
        match mounted {
            Ok(done) if done.status.success() => Some(Self(folder)),
            refused => {
                eprintln!("skipped: no file system can be mounted here: {refused:?}");
                None
            }
        }
    }

    fn remount(&self, options: &str) {
        let options = format!("remount,{options}");
        let done = Command::new("mount").args(["-o", &options]).arg(self.path()).status();
        assert!(done.expect("mount can be run").success(), "cannot mount with {options}");
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

fn on(mount: &Mount, objects: &TempDir) -> ServerBuilder {
    let data: PathBuf = mount.path().join("data");
    ServerBuilder::new()
        .on_data_dir(&data)
        .config("storage_url", &format!("file://{}", objects.path().display()))
        .config("max_block_bytes", "64MiB")
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_full_disk_spans_are_refused_until_there_is_room() {
    let Some(mount) = Mount::or_skip("size=12m") else { return };
    let objects = tempfile::tempdir().expect("a temporary directory can be made");
    let server = on(&mount, &objects).start().await;
    let taken = fill(&server, 0).await;
    assert!(taken > 5, "only {taken} were taken");
    assert_all_found(&server, taken).await;
    mount.remount("size=200m");
    send_until_taken(&server, taken).await;
    assert_all_found(&server, taken + 1).await;
    let server = server.kill().start().await;
    assert_all_found(&server, taken + 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_cannot_be_written_is_named_at_the_start() {
    let Some(mount) = Mount::or_skip("size=12m,ro") else { return };
    let objects = tempfile::tempdir().expect("a temporary directory can be made");
    let exit = on(&mount, &objects).start_refused().await;
    assert!(!exit.status.success());
    let path = mount.path().display().to_string();
    assert!(exit.output.contains(&path) && exit.output.contains("--data-dir"), "{}", exit.output);
}
