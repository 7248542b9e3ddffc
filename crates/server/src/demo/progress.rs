use std::time::Duration;

use super::error::DemoError;
use super::report::say;
use crate::query_cli::{Terminal, count};

/// How far the history is: one line that is redrawn on a terminal, a line for each quarter elsewhere.
#[derive(Debug)]
pub(super) struct Progress {
    terminal: Terminal,
    started: Duration,
    total: u64,
    quarters: u64,
}

const BAR: usize = 24;

impl Progress {
    /// `total` traces to go from `started`.
    pub(super) fn new(terminal: Terminal, started: Duration, total: u64) -> Self {
        Self { terminal, started, total, quarters: 0 }
    }

    /// Tells that `traces` are in, if it is time to.
    pub(super) fn show(&mut self, traces: u64, spans: u64, now: Duration) -> Result<(), DemoError> {
        let line = self.line(traces, spans, now.saturating_sub(self.started));
        let quarters = traces * 4 / self.total;
        let news = quarters > self.quarters;
        self.quarters = quarters;
        match self.terminal.width {
            Some(width) => {
                let line: String = line.chars().take(width.saturating_sub(1)).collect();
                let end = if traces >= self.total { "\n" } else { "" };
                say(&format!("\r\x1b[2K{line}{end}"))
            }
            None if news => say(&(line + "\n")),
            None => Ok(()),
        }
    }

    fn line(&self, traces: u64, spans: u64, took: Duration) -> String {
        let [full, empty] = if self.terminal.unicode { ["█", "░"] } else { ["#", "."] };
        let done = (traces as usize * BAR / self.total.max(1) as usize).min(BAR);
        let bar = full.repeat(done) + &empty.repeat(BAR - done);
        let rate = (spans as f64 / took.as_secs_f64().max(1e-3)) as u64;
        let (traces, spans, rate) = (count(traces, "trace"), count(spans, "span"), count(rate, "span"));
        format!("History {bar} {traces}, {spans} in {:.1} s: {rate}/s", took.as_secs_f64())
    }
}
