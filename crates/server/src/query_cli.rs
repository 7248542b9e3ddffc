//! `vivace query`: asks any server that speaks Tempo's HTTP API, and shows the answer to a human.

mod answer;
mod client;
mod error;
mod filter;
mod metrics;
mod sparkline;
mod tables;
mod terminal;
mod time;
mod tree;
mod waterfall;

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use serde::de::DeserializeOwned;
use url::Url;
use vivace_base::{Clock as _, SystemClock};

pub(crate) use answer::{SearchAnswer, SearchHit, TraceAnswer, TraceView};
pub(crate) use client::{Body, Client, partial_reason, unreachable};
pub(crate) use error::QueryError;
pub(crate) use tables::{count, lines, search_table};
pub(crate) use terminal::Terminal;
pub(crate) use time::{parse_duration, parse_time, utc_text};
pub(crate) use waterfall::waterfall;

use answer::{TagNamesAnswer, TagValuesAnswer};
use filter::Filter;
use time::TimeArgs;

/// Asks a server that has Tempo's API, Vivace or Tempo.
///
/// Exit status: 0 something was found, 1 nothing was found, 2 wrong usage, 3 the server refused or answered something
/// else than the API says, 4 the server cannot be reached.
#[derive(Debug, Args)]
pub(crate) struct QueryArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Find traces with TraceQL, or by service and tags
    Search(SearchArgs),
    /// Show one trace as a waterfall
    Trace(TraceArgs),
    /// List the attribute names that spans have
    Tags(TagsArgs),
    /// List the values of one attribute
    TagValues(TagValuesArgs),
    /// Measure spans with TraceQL, over time or at once
    Metrics(metrics::MetricsArgs),
}

#[derive(Debug, Args)]
struct ServerArgs {
    /// The server, with a path prefix if it has one
    #[arg(long, env = "VIVACE_URL", default_value = "http://127.0.0.1:3200", value_name = "URL")]
    url: Url,
    /// The tenant, sent as X-Scope-OrgID
    #[arg(long, value_name = "ID")]
    tenant: Option<String>,
    /// A request header; may be repeated
    #[arg(long = "header", value_name = "NAME=VALUE", value_parser = client::parse_header)]
    headers: Vec<client::Header>,
    /// How to show the answer; json is the server's body as it came
    #[arg(long, short, value_enum, default_value_t = Output::Table)]
    output: Output,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    Table,
    Json,
}

#[derive(Debug, Args)]
struct SearchArgs {
    /// A TraceQL query
    #[arg(default_value = "{}", conflicts_with_all = ["service", "tags"])]
    query: String,
    #[command(flatten)]
    filter: Filter,
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    time: TimeArgs,
    /// At most this many traces
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// At most this many spans of each trace
    #[arg(long, default_value_t = 3)]
    spss: u32,
    /// Only traces that took at least this long, such as 100ms or 1.5s
    #[arg(long, value_name = "DURATION", value_parser = time::parse_go_duration)]
    min_duration: Option<String>,
    /// Only traces that took at most this long
    #[arg(long, value_name = "DURATION", value_parser = time::parse_go_duration)]
    max_duration: Option<String>,
}

#[derive(Debug, Args)]
struct TraceArgs {
    /// The trace id: up to 32 hex digits
    #[arg(value_parser = parse_trace_id)]
    id: String,
    #[command(flatten)]
    server: ServerArgs,
    /// Show at most this many spans
    #[arg(long, default_value_t = 500, value_name = "N")]
    max_spans: usize,
    /// Draw with ASCII characters only
    #[arg(long)]
    ascii: bool,
}

#[derive(Debug, Args)]
struct TagsArgs {
    /// Only attributes of this scope
    #[arg(long, value_parser = ["resource", "span", "event", "link", "instrumentation", "intrinsic"])]
    scope: Option<String>,
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    time: TimeArgs,
}

#[derive(Debug, Args)]
struct TagValuesArgs {
    /// The attribute as TraceQL writes it: resource.service.name, .http.method, name
    tag: String,
    /// Only values on spans that match this TraceQL filter
    #[arg(long, value_name = "TRACEQL")]
    query: Option<String>,
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    time: TimeArgs,
}

/// What is printed, and whether there was anything.
struct Shown {
    text: Vec<u8>,
    found: bool,
    notes: Vec<String>,
}

/// Runs one query and prints the answer to standard output, remarks and errors to standard error.
pub(crate) async fn run(args: QueryArgs) -> ExitCode {
    let shown = match args.command {
        Command::Search(args) => search(&args).await,
        Command::Trace(args) => trace(&args).await,
        Command::Tags(args) => tags(&args).await,
        Command::TagValues(args) => tag_values(&args).await,
        Command::Metrics(args) => metrics::metrics(&args).await,
    };
    match shown {
        Ok(shown) => print(&shown),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

fn print(shown: &Shown) -> ExitCode {
    let mut stdout = io::stdout().lock();
    if let Err(error) = stdout.write_all(&shown.text).and_then(|()| stdout.flush()) {
        // a reader that has seen enough (`| head`) is no error
        if error.kind() != io::ErrorKind::BrokenPipe {
            eprintln!("error: cannot write the answer: {error}");
            return ExitCode::from(3);
        }
    }
    for note in &shown.notes {
        eprintln!("note: {note}");
    }
    ExitCode::from(u8::from(!shown.found))
}

async fn search(args: &SearchArgs) -> Result<Shown, QueryError> {
    let query = args.filter.to_traceql().unwrap_or_else(|| args.query.clone());
    let (start, end) = args.time.resolve(SystemClock::default().now())?;
    let mut params = vec![
        ("q", query),
        ("start", start.to_string()),
        ("end", end.to_string()),
        ("limit", args.limit.to_string()),
        ("spss", args.spss.to_string()),
    ];
    params.extend(args.min_duration.clone().map(|text| ("minDuration", text)));
    params.extend(args.max_duration.clone().map(|text| ("maxDuration", text)));
    let body = args.server.client()?.get(&["api", "search"], &params).await?;
    let answer: SearchAnswer = body.json()?;
    let terminal = Terminal::detect(false);
    args.server.show(body, !answer.traces.is_empty(), || search_table(&answer, &terminal))
}

async fn trace(args: &TraceArgs) -> Result<Shown, QueryError> {
    let client = args.server.client()?;
    let Some(body) = client.trace(&args.id).await? else {
        return args.server.nothing(format!("trace {} was not found", args.id));
    };
    let answer: TraceAnswer = body.json()?;
    let view = TraceView::from(&answer);
    if view.spans.is_empty() && args.server.output == Output::Table {
        return args.server.nothing(format!("trace {} was not found", args.id));
    }
    let terminal = Terminal::detect(args.ascii);
    let mut shown =
        args.server.show(body, !view.spans.is_empty(), || waterfall(&view, &terminal, args.max_spans))?;
    shown.notes.extend(answer.message.filter(|message| !message.is_empty()));
    Ok(shown)
}

async fn tags(args: &TagsArgs) -> Result<Shown, QueryError> {
    let mut params = args.time.params()?;
    params.extend(args.scope.clone().map(|scope| ("scope", scope)));
    let body = args.server.client()?.get(&["api", "v2", "search", "tags"], &params).await?;
    let answer: TagNamesAnswer = body.json()?;
    let terminal = Terminal::detect(false);
    let found = answer.scopes.iter().any(|scope| !scope.tags.is_empty());
    args.server.show(body, found, || tables::tags_table(&answer, &terminal))
}

async fn tag_values(args: &TagValuesArgs) -> Result<Shown, QueryError> {
    let mut params = args.time.params()?;
    params.extend(args.query.clone().map(|query| ("q", query)));
    let path = ["api", "v2", "search", "tag", args.tag.as_str(), "values"];
    let body = args.server.client()?.get(&path, &params).await?;
    let answer: TagValuesAnswer = body.json()?;
    let terminal = Terminal::detect(false);
    args.server.show(body, !answer.tag_values.is_empty(), || tables::values_table(&answer, &terminal))
}

impl ServerArgs {
    fn client(&self) -> Result<Client, QueryError> {
        Client::new(self.url.clone(), self.tenant.as_deref(), &self.headers)
    }

    fn show(&self, body: Body, found: bool, table: impl FnOnce() -> String) -> Result<Shown, QueryError> {
        let notes = body.partial.iter().map(|reason| format!("the answer is not complete: {reason}"));
        let notes = notes.collect();
        let text = match self.output {
            Output::Json => body.bytes,
            Output::Table => table().into_bytes(),
        };
        Ok(Shown { text, found, notes })
    }

    fn nothing(&self, note: String) -> Result<Shown, QueryError> {
        Ok(Shown { text: Vec::new(), found: false, notes: vec![note] })
    }
}

impl Body {
    /// Reads the body as JSON.
    ///
    /// # Errors
    /// [`QueryError::NotTheApi`] says what was expected and where it was not.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, QueryError> {
        serde_json::from_slice(&self.bytes)
            .map_err(|error| QueryError::NotTheApi { url: self.url.clone(), reason: error.to_string() })
    }
}

/// Rules of `reference/tempo.md` 2.1.
fn parse_trace_id(text: &str) -> Result<String, String> {
    let hex = !text.is_empty() && text.len() <= 32 && text.bytes().all(|b| b.is_ascii_hexdigit());
    hex.then(|| text.to_ascii_lowercase()).ok_or_else(|| "a trace id is 1 to 32 hex digits".to_owned())
}

#[cfg(test)]
mod tests;
