//! What the demo tells once the history is in: where the server listens, and how it answers Kiali.

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use url::Url;
use vivace_base::{Clock, UnixNanos};

use super::error::DemoError;
use super::request::SECOND;
use crate::query_cli::{
    Client, QueryError, SearchAnswer, SearchHit, Terminal, TraceAnswer, TraceView, count, search_table,
    waterfall,
};
use crate::serve::Addresses;

/// The service that Kiali's user looks at.
const SERVICE: &str = "reviews.bookinfo";
/// Kiali's default for its setting "number of traces".
const LIMIT: u64 = 100;
/// Traces shown of those found.
const SHOWN: usize = 5;
const MAX_SPANS: usize = 40;
/// Columns that the query is broken at.
const LINE: usize = 110;

/// Writes to standard output and flushes.
pub(super) fn say(text: &str) -> Result<(), DemoError> {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(DemoError::Output)
}

/// The query that Kiali sends for a service (`reference/kiali.md` 2.2).
pub(crate) fn kiali_query(service: &str) -> String {
    format!(
        "{{ .service.name = \"{service}\" && .istio.cluster_id = \"Kubernetes\" }} && {{ }} | select(status, \
         .service_name, .node_id, .component, .upstream_cluster, .http.method, .response_flags, \
         .istio.destination_workload, .istio.destination_namespace, .istio.destination_instance_name, \
         .istio.destination_canonical_service, .istio.source_workload, .istio.source_namespace, \
         .istio.source_instance_name, .istio.source_canonical_service, resource.hostname, name)"
    )
}

/// Asks and tells.
pub(super) struct Report<'a> {
    pub(super) addresses: Addresses,
    pub(super) terminal: Terminal,
    pub(super) clock: &'a dyn Clock,
    /// When the history starts.
    pub(super) origin: UnixNanos,
}

impl Report<'_> {
    /// Prints all of it. `reviewed` traces went through the service that is asked for.
    ///
    /// # Errors
    /// [`DemoError`] when a query fails, or finds less than there is.
    pub(super) async fn print(&self, reviewed: u64) -> Result<(), DemoError> {
        say(&self.listening())?;
        let client = Client::new(self.url()?, None, &[])?;
        let mut answer = self.ask(&client).await?;
        let found = answer.traces.len() as u64;
        let expected = reviewed.min(LIMIT);
        if found < expected || found == 0 {
            return Err(DemoError::Incomplete { found, expected: expected.max(1) });
        }
        let failed = |hit: &&SearchHit| hit.service_stats.values().any(|s| s.error_count > 0);
        let pick = answer.traces.iter().find(failed).or(answer.traces.first());
        let id = pick.map(|hit| hit.trace_id.clone()).unwrap_or_default();
        answer.traces.truncate(SHOWN);
        let table = search_table(&answer, &self.terminal);
        let table = table.split("\n\n").next().unwrap_or_default();
        say(&format!("The newest of them:\n\n{table}\n\n"))?;
        say(&self.trace(&client, &id).await?)?;
        say(&self.next_steps(&id))
    }

    fn url(&self) -> Result<Url, QueryError> {
        let address = reachable(self.addresses.http);
        format!("http://{address}")
            .parse()
            .map_err(|_| QueryError::Usage(format!("{address} is not an address")))
    }

    fn listening(&self) -> String {
        let Addresses { http, otlp_grpc, otlp_http, .. } = self.addresses;
        format!(
            "\nTempo's API for Kiali and Grafana: http://{}\nOTLP for your own spans:           gRPC {otlp_grpc}, \
             HTTP http://{otlp_http}/v1/traces\n\n",
            reachable(http)
        )
    }

    /// Kiali's query over HTTP, twice: the first time finds nothing warm.
    async fn ask(&self, client: &Client) -> Result<SearchAnswer, DemoError> {
        let (start, end) = (self.origin / SECOND, self.clock.now().div_ceil(SECOND));
        let query = kiali_query(SERVICE);
        let params = [
            ("start", start.to_string()),
            ("end", end.to_string()),
            ("q", query.clone()),
            ("spss", "10".to_owned()),
            ("limit", LIMIT.to_string()),
        ];
        let (_, first) = self.timed(client.get(&["api", "search"], &params)).await?;
        let (body, again) = self.timed(client.get(&["api", "search"], &params)).await?;
        let answer: SearchAnswer = body.json()?;
        let spans: usize = answer.traces.iter().map(|hit| hit.spans_returned()).sum();
        let matched: u64 = answer.traces.iter().map(|hit| hit.matched()).sum();
        let (traces, spans) = (count(answer.traces.len() as u64, "trace"), count(spans as u64, "span"));
        say(&format!(
            "Kiali's query for {SERVICE}, over the last {} s:\n\n{}\n\n{traces}, {spans} returned of {matched} \
             that matched, {} KiB, in {first:.1} ms ({again:.1} ms when asked again)\n\n",
            end - start,
            wrapped(&query),
            body.bytes.len().div_ceil(1024)
        ))?;
        Ok(answer)
    }

    /// What `request` gives, and the milliseconds it took.
    async fn timed<T>(
        &self,
        request: impl Future<Output = Result<T, QueryError>>,
    ) -> Result<(T, f64), QueryError> {
        let started = self.clock.monotonic();
        let answer = request.await?;
        Ok((answer, (self.clock.monotonic() - started).as_secs_f64() * 1e3))
    }

    async fn trace(&self, client: &Client, id: &str) -> Result<String, DemoError> {
        let lost = || DemoError::TraceLost { id: id.to_owned() };
        let (body, millis) = self.timed(client.trace(id)).await?;
        let answer: TraceAnswer = body.ok_or_else(lost)?.json()?;
        let view = TraceView::from(&answer);
        if view.spans.is_empty() {
            return Err(lost());
        }
        let drawing = waterfall(&view, &self.terminal, MAX_SPANS);
        Ok(format!("One of them by its id, in {millis:.1} ms:\n\n{drawing}\n"))
    }

    fn next_steps(&self, id: &str) -> String {
        let program = std::env::args().next().unwrap_or_else(|| "vivace".to_owned());
        let base = format!("http://{}", reachable(self.addresses.http));
        let url = if self.addresses.http.port() == 3200 { String::new() } else { format!(" --url {base}") };
        format!(
            "Try next, in another terminal:\n\n  \
             {program} query search{url} '{{ resource.service.name = \"{SERVICE}\" && status = error }}'\n  \
             {program} query trace{url} {id}\n  \
             curl -s {base}/api/traces/{id}\n\n\
             Kiali: external_services.tracing with provider tempo, use_grpc false, internal_url {base}\n\
             Grafana: a Tempo data source with URL {base}\n"
        )
    }
}

/// Broken at blanks into indented lines.
fn wrapped(text: &str) -> String {
    let mut lines = vec![String::from(" ")];
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.len() + word.len() < LINE => *line += &format!(" {word}"),
            _ => lines.push(format!("    {word}")),
        }
    }
    lines.join("\n")
}

/// An address that listens everywhere is reached at home.
fn reachable(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => (Ipv4Addr::LOCALHOST, address.port()).into(),
        IpAddr::V6(ip) if ip.is_unspecified() => (Ipv6Addr::LOCALHOST, address.port()).into(),
        _ => address,
    }
}

#[cfg(test)]
mod tests;
