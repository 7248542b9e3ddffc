//! Whether anything grows with time. A minute by default; the hour of docs/operations/memory.md with
//! `VIVACE_SOAK_MINUTES=60`.

use super::*;

/// Of one minute.
struct Minute {
    answers: Vec<Duration>,
    files: usize,
    resident: u64,
    blocks: u64,
}

impl Minute {
    fn print(&mut self, number: u64) {
        self.answers.sort_unstable();
        let at = |part: usize| self.answers[(self.answers.len() - 1) * part / 100];
        let (count, resident) = (self.answers.len(), self.resident / MIB);
        println!(
            "minute {number}: {count} answers, p50 {:?}, p99 {:?}, {resident} MiB, {} files, {} blocks",
            at(50),
            at(99),
            self.files,
            self.blocks
        );
    }
}

/// Ingest, clicks, merging and retention beside each other. Spans are kept for a sixth of the time.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_grows_with_time() {
    let minutes = number("VIVACE_SOAK_MINUTES", 1);
    let builder = ServerBuilder::new()
        .config("block_retention", &format!("{}s", minutes * 10))
        .config("compacted_block_retention", "30s");
    let Some(mut confined) = Confined::start_as(256, builder).await else { return };
    // A release build takes more.
    let rate = number("VIVACE_SOAK_RATE", 2_000);
    let spans = (rate * minutes * 90).to_string();
    let mut live = confined.feed(&["--spans", &spans, "--rate", &rate.to_string()]);
    let mut passed = Vec::new();
    for minute in 0..minutes {
        let mut this = Minute { answers: Vec::new(), files: 0, resident: 0, blocks: 0 };
        while this.answers.len() < 60 {
            let second = tokio::time::sleep(Duration::from_secs(1));
            let service = CLICK[this.answers.len() % CLICK.len()];
            let (time, reply) = timed(confined.kiali_over(service, 150)).await;
            let reply = reply.ok();
            let partial = reply.headers.iter().find(|(name, _)| name == "x-vivace-partial");
            assert!(partial.is_none(), "{partial:?}");
            this.answers.push(time);
            second.await;
        }
        this.files = confined.server.open_files();
        this.resident = figure(&confined, "vivace_memory_resident_bytes").await;
        this.blocks = figure(&confined, "tempodb_blocklist_length").await;
        this.print(minute + 1);
        passed.push(this);
    }
    live.kill().expect("a child process can be killed");
    live.wait().expect("a killed process ends");
    confined.assert_within();
    let most = |minutes: &[Minute]| minutes.iter().map(|minute| minute.files).max().unwrap_or_default();
    let (early, late) = passed.split_at(passed.len() / 2);
    assert!(early.is_empty() || most(late) <= most(early) + 50, "{} files, then {}", most(early), most(late));
}
