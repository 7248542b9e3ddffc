use std::collections::BTreeSet;

use clap::Args;

use super::answer::{MetricsAnswer, SeriesAnswer};
use super::sparkline::sparkline;
use super::tables::lines;
use super::terminal::{Terminal, printable};
use super::time::{self, TimeArgs};
use super::{QueryError, ServerArgs, Shown};

#[derive(Debug, Args)]
pub(super) struct MetricsArgs {
    /// A TraceQL metrics query, such as '{ } | rate() by (resource.service.name)'
    query: String,
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    time: TimeArgs,
    /// Time between values, such as 30s [default: chosen by the server]
    #[arg(long, value_name = "DURATION", value_parser = time::parse_go_duration, conflicts_with = "instant")]
    step: Option<String>,
    /// One value for the whole time instead of many over it
    #[arg(long)]
    instant: bool,
}

/// Widest drawing of a series.
const MAX_DRAWING: usize = 60;
/// What a line has beside names and drawing.
const OTHER_COLUMNS: usize = 40;

pub(super) async fn metrics(args: &MetricsArgs) -> Result<Shown, QueryError> {
    let mut params = args.time.params()?;
    params.push(("q", args.query.clone()));
    params.extend(args.step.clone().map(|step| ("step", step)));
    let path = ["api", "metrics", if args.instant { "query" } else { "query_range" }];
    let body = args.server.client()?.get(&path, &params).await?;
    let answer: MetricsAnswer = body.json()?;
    let terminal = Terminal::detect(false);
    let table = || if args.instant { values(&answer, &terminal) } else { drawings(&answer, &terminal) };
    let told = body.partial.is_some();
    let mut shown = args.server.show(body, !answer.series.is_empty(), table)?;
    // Vivace says it in a header already.
    shown.notes.extend(answer.message.filter(|message| !message.is_empty() && !told));
    Ok(shown)
}

fn values(answer: &MetricsAnswer, terminal: &Terminal) -> String {
    let mut table = terminal.table(&["Series", "Value"]);
    for series in &answer.series {
        table.add_row([printable(&series.name()), number(series.value)]);
    }
    finish(&lines(&table), answer)
}

fn drawings(answer: &MetricsAnswer, terminal: &Terminal) -> String {
    let samples = answer.series.iter().flat_map(|series| &series.samples);
    let times: BTreeSet<u64> = samples.map(|sample| sample.timestamp_ms).collect();
    let longest = answer.series.iter().map(|series| series.name().chars().count()).max().unwrap_or_default();
    let room = terminal.drawing_width().saturating_sub(longest.min(60) + OTHER_COLUMNS);
    let mut table = terminal.table(&["Series", "Over time", "Min", "Max", "Last"]);
    for series in &answer.series {
        let drawing = sparkline(&along(series, &times), room.clamp(10, MAX_DRAWING), terminal.unicode);
        let values = || series.samples.iter().map(|sample| sample.value);
        let shown = |value: Option<f64>| value.map_or("-".to_owned(), number);
        table.add_row([
            printable(&series.name()),
            drawing,
            shown(values().reduce(f64::min)),
            shown(values().reduce(f64::max)),
            shown(values().next_back()),
        ]);
    }
    finish(&lines(&table), answer)
}

/// A value for each of the times that any series has.
fn along(series: &SeriesAnswer, times: &BTreeSet<u64>) -> Vec<Option<f64>> {
    let mut samples = series.samples.iter().peekable();
    let at = |time: &u64| samples.next_if(|sample| sample.timestamp_ms == *time).map(|sample| sample.value);
    times.iter().map(at).collect()
}

fn finish(table: &str, answer: &MetricsAnswer) -> String {
    let number = answer.series.len();
    format!("{table}{number} series\n")
}

/// With at most four digits that say something.
fn number(value: f64) -> String {
    if value == value.trunc() && value.abs() < 1e15 {
        return format!("{value}");
    }
    let digits = 3 - value.abs().log10().floor().clamp(-9.0, 3.0) as i32;
    let text = format!("{value:.*}", usize::try_from(digits).unwrap_or_default());
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests;
