//! Asks one query again and again, alone and by several clients, and keeps what it took.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use futures::future::join_all;
use serde::Serialize;
use serde_json::Value;
use vivace_base::Clock;

use super::process;
use super::queries::{Query, Request, Rows};
use crate::query_cli::{Client, QueryError, partial_reason, unreachable};

/// The most of an answer that is kept to count its rows, in bytes.
const MAX_KEPT: usize = 64 << 20;

/// An answer, or why there is none.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) took: Duration,
    pub(super) bytes: u64,
    pub(super) partial: Option<String>,
    /// Traces, series, spans, names or values; unknown when the answer was too large to be kept or is not JSON.
    pub(super) rows: Option<u64>,
    pub(super) failure: Option<String>,
}

/// All of one query's requests that were made at once.
#[derive(Debug)]
pub(super) struct Round {
    pub(super) answers: Vec<Answer>,
    pub(super) took: Duration,
}

/// What some clients saw.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Level {
    pub(super) clients: usize,
    pub(super) calls: u64,
    pub(super) failures: u64,
    pub(super) first_failure: Option<String>,
    pub(super) partial: u64,
    /// Of the calls that did not fail.
    pub(super) latency: Option<Latency>,
    /// From the first of several calls made together to the end of the last.
    pub(super) whole: Option<Latency>,
    pub(super) calls_per_second: f64,
    pub(super) server_cpu_ms_per_call: Option<f64>,
}

/// In milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Latency {
    pub(super) p50: f64,
    pub(super) p95: f64,
    pub(super) p99: f64,
    pub(super) max: f64,
}

/// How a query is measured.
#[derive(Debug)]
pub(super) struct Measure<'a> {
    pub(super) client: &'a Client,
    pub(super) clock: &'a dyn Clock,
    /// The server, when its processor time can be read.
    pub(super) pid: Option<u32>,
    /// Calls of each query; with several clients at least two for each.
    pub(super) repeat: usize,
    /// No new call is made after this long.
    pub(super) budget: Duration,
}

impl Latency {
    /// Of any number of times; none without any.
    pub(super) fn of(mut times: Vec<Duration>) -> Option<Self> {
        times.sort_unstable();
        let at = |percent: usize| {
            let rank = (times.len() * percent).div_ceil(100).max(1);
            times.get(rank - 1).map(|time| time.as_secs_f64() * 1e3)
        };
        Some(Self { p50: at(50)?, p95: at(95)?, p99: at(99)?, max: at(100)? })
    }
}

impl Measure<'_> {
    /// Asks once; `turn` says which of the requests that take turns. Rows are counted if `count`.
    pub(super) async fn round(&self, query: &Query, turn: usize, count: bool) -> Round {
        let began = self.clock.monotonic();
        let answers = if query.together {
            join_all(query.requests.iter().map(|request| self.ask(request, count))).await
        } else {
            match query.requests.get(turn % query.requests.len().max(1)) {
                Some(request) => vec![self.ask(request, count).await],
                None => Vec::new(),
            }
        };
        Round { took: self.clock.monotonic() - began, answers }
    }

    /// Asks again and again, `clients` at a time.
    pub(super) async fn level(&self, query: &Query, clients: usize) -> Level {
        let total = self.repeat.max(2 * clients);
        let next = AtomicUsize::new(0);
        let cpu_before = self.cpu();
        let began = self.clock.monotonic();
        let client = || async {
            let mut rounds = Vec::new();
            loop {
                let turn = next.fetch_add(1, Relaxed);
                let late = self.clock.monotonic() - began > self.budget;
                if turn >= total || late && turn >= clients {
                    return rounds;
                }
                rounds.push(self.round(query, turn, false).await);
            }
        };
        let rounds: Vec<Round> =
            join_all((0..clients).map(|_| client())).await.into_iter().flatten().collect();
        let took = self.clock.monotonic() - began;
        let cpu = self.cpu().zip(cpu_before).map(|(after, before)| after.saturating_sub(before));
        level(query, clients, &rounds, took, cpu)
    }

    fn cpu(&self) -> Option<Duration> {
        self.pid.and_then(process::cpu_time)
    }

    async fn ask(&self, request: &Request, count: bool) -> Answer {
        let began = self.clock.monotonic();
        let asked = self.read(request, count).await;
        let took = self.clock.monotonic() - began;
        match asked {
            Ok((bytes, partial, body)) => {
                let rows = body.and_then(|body| count_rows(request.rows, &body));
                Answer { took, bytes, partial, rows, failure: None }
            }
            Err(error) => {
                Answer { took, bytes: 0, partial: None, rows: None, failure: Some(error.to_string()) }
            }
        }
    }

    async fn read(
        &self,
        request: &Request,
        keep: bool,
    ) -> Result<(u64, Option<String>, Option<Vec<u8>>), QueryError> {
        let path: Vec<&str> = request.path.iter().map(String::as_str).collect();
        let mut response = self.client.stream(&path, &request.params).await?;
        let partial = partial_reason(&response);
        let url = response.url().clone();
        let mut body = keep.then(Vec::new);
        let mut bytes = 0;
        while let Some(chunk) = response.chunk().await.map_err(|error| unreachable(&url, &error))? {
            bytes += chunk.len() as u64;
            match &mut body {
                Some(kept) if kept.len() + chunk.len() <= MAX_KEPT => kept.extend_from_slice(&chunk),
                _ => body = None,
            }
        }
        Ok((bytes, partial, body))
    }
}

fn level(query: &Query, clients: usize, rounds: &[Round], took: Duration, cpu: Option<Duration>) -> Level {
    let answers = || rounds.iter().flat_map(|round| &round.answers);
    let calls = answers().count() as u64;
    let good = answers().filter(|answer| answer.failure.is_none());
    let whole = rounds.iter().filter(|round| round.answers.iter().all(|answer| answer.failure.is_none()));
    Level {
        clients,
        calls,
        failures: answers().filter(|answer| answer.failure.is_some()).count() as u64,
        first_failure: answers().find_map(|answer| answer.failure.clone()),
        partial: answers().filter(|answer| answer.partial.is_some()).count() as u64,
        latency: Latency::of(good.map(|answer| answer.took).collect()),
        whole: query.together.then(|| Latency::of(whole.map(|round| round.took).collect())).flatten(),
        calls_per_second: calls as f64 / took.as_secs_f64().max(1e-9),
        server_cpu_ms_per_call: cpu.map(|cpu| cpu.as_secs_f64() * 1e3 / calls.max(1) as f64),
    }
}

fn count_rows(rows: Rows, body: &[u8]) -> Option<u64> {
    let answer: Value = serde_json::from_slice(body).ok()?;
    let length = |value: &Value| value.as_array().map_or(0, Vec::len) as u64;
    let nested = |list: &Value, key: &str| -> u64 {
        list.as_array().map_or(0, |items| items.iter().map(|item| length(&item[key])).sum())
    };
    Some(match rows {
        Rows::Traces => length(&answer["traces"]),
        Rows::Series => length(&answer["series"]),
        Rows::Values => length(&answer["tagValues"]),
        Rows::Services => length(&answer["nodes"]),
        Rows::Names => nested(&answer["scopes"], "tags"),
        Rows::Spans => {
            let v2 = &answer["trace"]["resourceSpans"];
            let batches = if v2.is_array() { v2 } else { &answer["batches"] };
            let scopes = |batch: &Value| nested(&batch["scopeSpans"], "spans");
            batches.as_array().map_or(0, |batches| batches.iter().map(scopes).sum())
        }
    })
}

#[cfg(test)]
mod tests;
