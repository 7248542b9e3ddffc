//! Waits for a server's work in the background: blocks that are still to be cut, compaction.

use std::time::Duration;

use vivace_base::Clock;

use super::error::BenchError;
use super::process;
use super::subject::Subject;

const POLL: Duration = Duration::from_secs(1);
/// What a server has left to do: spans to cut, blocks to merge.
const PENDING: [&str; 2] = ["vivace_head_spans", "vivace_compaction_backlog_age_seconds"];
/// Nothing happens for so many polls.
const QUIET_POLLS: u32 = 5;
/// A server at rest uses less than this of a core.
const REST: f64 = 0.05;
/// How long to wait for a server that cannot be watched.
const BLIND: Duration = Duration::from_secs(60);

/// Waits, and says whether the server came to rest.
pub(super) async fn settle(
    subject: &mut Subject,
    most: Duration,
    clock: &dyn Clock,
) -> Result<bool, BenchError> {
    let started = clock.monotonic();
    if subject.pid().is_none() {
        tokio::time::sleep(most.min(BLIND)).await;
        return Ok(true);
    }
    let client = subject.client()?;
    let (mut quiet, mut before) = (0, None);
    while quiet < QUIET_POLLS {
        if clock.monotonic() - started > most {
            return Ok(false);
        }
        tokio::time::sleep(POLL).await;
        subject.check("working in the background")?;
        let metrics = client.get(&["metrics"], &[]).await.map(|body| body.bytes).unwrap_or_default();
        let page = String::from_utf8_lossy(&metrics);
        let pending = PENDING.iter().any(|name| gauge(&page, name).unwrap_or(0.0) > 0.0);
        let cpu = subject.pid().and_then(process::cpu_time).unwrap_or_default();
        let now = (subject.disk_use(), cpu, clock.monotonic());
        let rests = before.is_some_and(|(disk, cpu_before, then): (_, Duration, Duration)| {
            let busy = cpu.saturating_sub(cpu_before).as_secs_f64() / (now.2 - then).as_secs_f64().max(1e-3);
            disk == now.0 && busy < REST
        });
        quiet = if rests && !pending { quiet + 1 } else { 0 };
        before = Some(now);
    }
    Ok(true)
}

/// The value of a metric without labels.
fn gauge(page: &str, name: &str) -> Option<f64> {
    page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::gauge;

    #[test]
    fn a_gauge_is_the_line_with_its_whole_name() {
        let page = "# TYPE vivace_head_spans gauge\nvivace_head_spans_x 3\nvivace_head_spans 12\n";
        assert_eq!(gauge(page, "vivace_head_spans"), Some(12.0));
        assert_eq!(gauge(page, "vivace_head"), None);
    }
}
