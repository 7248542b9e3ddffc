//! `vivace check` and `--repair` on what a server left.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use vivace_e2e::server::binary;
use vivace_e2e::traffic::all_spans;
use vivace_e2e::{Compression, Encoding, ServerBuilder, Traffic, otlp};

use crate::ten_minutes_ago;

/// Runs the command; its exit status and what it printed.
fn check(data_dir: &Path, arguments: &[&str]) -> (i32, String) {
    let output = Command::new(binary())
        .arg("check")
        .arg("--data-dir")
        .arg(data_dir)
        .args(arguments)
        .output()
        .expect("the binary runs");
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).expect("text")).concat();
    (output.status.code().expect("an exit status"), text)
}

fn json(data_dir: &Path, arguments: &[&str]) -> (i32, Value) {
    let (status, text) = check(data_dir, &[arguments, &["--output", "json"]].concat());
    (status, serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}")))
}

fn files(dir: &Path, name: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.to_str().is_some_and(|path| path.ends_with(name)) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn flip(path: &Path) {
    let mut bytes = std::fs::read(path).expect("readable");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x40;
    std::fs::write(path, bytes).expect("written");
}

/// Three blocks, and a log with records that are in none.
async fn stored() -> (ServerBuilder, PathBuf) {
    let mut builder = ServerBuilder::new().config("compaction_disabled", "true");
    let data_dir = builder.data_dir();
    for round in 0..4 {
        let server = builder.start().await;
        for request in 0..3 {
            let traces = Traffic::new(round * 10 + request, ten_minutes_ago()).traces(5);
            let request = otlp::request(all_spans(&traces));
            server.otlp().export(&request, Encoding::Protobuf, Compression::None).await.expect("sent").ok();
        }
        if round < 3 {
            let (status, stopped) = server.terminate().await;
            assert!(status.success(), "{status}");
            builder = stopped;
        } else {
            let (status, beside) = check(&data_dir, &[]);
            assert_eq!(status, 0, "beside a server: {beside}");
            let (status, refused) = check(&data_dir, &["--repair"]);
            assert!(status == 2 && refused.contains("in use by another process"), "{refused}");
            builder = server.kill();
        }
    }
    (builder, data_dir)
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_is_found_and_repaired() {
    let (builder, data_dir) = stored().await;
    let (status, text) = check(&data_dir, &[]);
    assert!(status == 0 && text.contains("nothing is damaged"), "{text}");
    let (status, report) = json(&data_dir, &[]);
    let spans = report["counts"]["spans"].as_u64().expect("a number");
    assert_eq!((status, &report["counts"]["blocks"], &report["damaged"]), (0, &3.into(), &false.into()));
    assert_eq!(report["counts"]["log_records_uncovered"], 3, "{report}");

    // One block's spans, another's index; the third has none.
    let blocks = files(&data_dir.join("objects"), "spans.parquet");
    let indexes = files(&data_dir.join("objects"), "index.bin");
    flip(&blocks[0]);
    flip(&indexes[1]);
    std::fs::remove_file(&indexes[2]).expect("deleted");
    let (status, report) = json(&data_dir, &[]);
    let findings = report["findings"].as_array().expect("a list");
    let damaged = |finding: &&Value| finding["severity"] == "damage";
    let places: Vec<&str> =
        findings.iter().filter(damaged).map(|finding| finding["place"].as_str().expect("text")).collect();
    assert_eq!(status, 1);
    for (place, path) in places.iter().zip([&blocks[0], &indexes[1], &indexes[2]]) {
        assert!(path.to_str().expect("text").ends_with(place), "{place} is not {}", path.display());
    }
    assert_eq!(places.len(), 3, "{report}");

    let (status, text) = check(&data_dir, &["--repair"]);
    assert!(status == 1 && text.contains("DAMAGED: 3 places, dealt with"), "{text}");
    let (status, report) = json(&data_dir, &[]);
    assert_eq!((status, &report["counts"]["blocks"]), (0, &2.into()), "{report}");
    assert!(report["counts"]["spans"].as_u64().expect("a number") < spans);
    let aside = files(&data_dir.join("objects/quarantine"), "spans.parquet");
    assert_eq!(aside.len(), 1, "what cannot be read is kept");

    // The server goes on with what is left, and with its log.
    let server = builder.start().await;
    let now = ten_minutes_ago() / 1_000_000_000;
    let answer = server.client().search("{ }", 1000, 100, (now - 3600, now + 3600)).await;
    assert!(answer["traces"].as_array().is_some_and(|traces| traces.len() >= 40), "{answer}");
    assert!(answer.get("message").is_none_or(Value::is_null), "nothing is missing that is known: {answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_catalog_and_log_are_found_and_set_back() {
    let (_builder, data_dir) = stored().await;
    let snapshots = files(&data_dir.join("objects"), ".json");
    flip(snapshots.last().expect("a snapshot"));
    let segments = files(&data_dir.join("wal"), ".wal");
    let log =
        segments.iter().max_by_key(|path| std::fs::metadata(path).expect("there").len()).expect("a segment");
    flip(log);
    let (status, text) = check(&data_dir, &[]);
    assert!(status == 1 && text.contains("DAMAGED: 2 places"), "{text}");
    assert!(text.contains("CRC") && text.contains("the record there is lost"), "{text}");
    let (status, text) = check(&data_dir, &["--repair"]);
    assert!(status == 1 && text.contains("is the newest now"), "{text}");
    let (status, report) = json(&data_dir, &[]);
    assert_eq!(
        (status, report["counts"]["blocks"].as_u64()),
        (1, Some(2)),
        "the log is left to the server: {report}"
    );
}

#[test]
fn what_cannot_be_checked_is_an_error() {
    let (status, text) = check(Path::new("/nowhere/at/all"), &[]);
    assert!(status == 2 && text.contains("there is no directory"), "{text}");
    assert!(!Path::new("/nowhere").exists(), "nothing is made");
}
