//! `/api/mcp`: language models ask over the Model Context Protocol (`reference/tempo.md` 2.8).
//!
//! Nothing is kept between requests: each is answered by JSON at once, sessions and streams are not offered. What is
//! asked is checked, and what is answered is written, as over plain HTTP.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ErrorData, Implementation,
    JsonObject, ListResourcesResult, ListToolsResult, MetaObject, PaginatedRequestParams,
    ReadResourceRequestParams, ReadResourceResponse, ReadResourceResult, ResourceContents,
    ServerCapabilities, ServerConfig,
};
use rmcp::service::RequestContext;
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{RoleServer, ServerHandler};
use vivace_model::Tenants;

use super::PARTIAL_HEADER;
use super::error::{ApiError, tenants_of};
use super::no_such_page;
use crate::state::App;

mod arguments;
mod calls;
mod docs;
mod tools;

use arguments::Arguments;
use docs::{MARKDOWN, PAGES, Page};
use tools::{TOOLS, ToolSpec};

/// Longer requests are refused with 413.
const MAX_REQUEST: usize = 512 * 1024;
/// A longer answer is an error instead: no model reads it.
const MAX_ANSWER: usize = 4 * 1024 * 1024;
/// Of what `_meta` says about answers.
const META_VERSION: &str = "1";

const INSTRUCTIONS: &str = "Distributed traces, asked for in TraceQL. Find out with get-attribute-names and \
    get-attribute-values what there is to ask for; read docs-traceql before writing a query. traceql-search finds \
    traces, get-trace shows one whole, trace-diff compares two; the traceql-metrics tools count and measure.";

/// Any method; all but POST are refused by the protocol.
pub(super) async fn serve(State(app): State<App>, request: Request) -> Result<Response, ApiError> {
    if !app.config.mcp_enabled {
        return Ok(no_such_page());
    }
    let tenants = tenants_of(&app, request.headers())?;
    let mcp = Mcp { app, tenants };
    let service = StreamableHttpService::new(
        move || Ok(mcp.clone()),
        Arc::new(NeverSessionManager::default()),
        transport(),
    );
    Ok(service.handle(request).await.map(Body::new))
}

/// Browsers say where a page came from: none may ask, so no page that a browser shows reaches a local server by a name
/// of its own. Other clients may call the server what they like, as everywhere else on this port.
fn transport() -> StreamableHttpServerConfig {
    StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        .with_max_request_body_bytes(MAX_REQUEST)
        .disable_allowed_hosts()
        .enforce_origin_validation()
}

/// Answers one request.
#[derive(Debug, Clone)]
struct Mcp {
    app: App,
    tenants: Tenants,
}

impl ServerHandler for Mcp {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder().enable_tools().enable_resources().build();
        ServerConfig::new(capabilities)
            .with_server_info(Implementation::new("vivace", env!("CARGO_PKG_VERSION")))
            .with_instructions(INSTRUCTIONS)
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(TOOLS.iter().map(ToolSpec::listed).collect()))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let Some(spec) = TOOLS.iter().find(|spec| spec.name == request.name) else {
            let text = format!("unknown tool `{}`: tools/list names those there are", request.name);
            return Err(ErrorData::invalid_params(text, None));
        };
        Ok(self.answer(spec, request.arguments.unwrap_or_default()).await.into())
    }

    async fn list_resources(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        Ok(ListResourcesResult::with_all_items(PAGES.iter().map(Page::listed).collect()))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let uri = request.uri;
        let Some(page) = PAGES.iter().find(|page| page.uri() == uri) else {
            let text = format!("no resource `{uri}`: resources/list names those there are");
            return Err(ErrorData::resource_not_found(text, None));
        };
        let contents = ResourceContents::text(page.text(), uri).with_mime_type(MARKDOWN);
        Ok(ReadResourceResult::new(vec![contents]).into())
    }
}

impl Mcp {
    /// What a tool answers, or why it cannot.
    async fn answer(&self, spec: &ToolSpec, arguments: JsonObject) -> CallToolResult {
        let answered = match Arguments::check(spec, arguments) {
            Ok(arguments) => self.call(spec.call, &arguments).await,
            Err(wrong) => Err(wrong),
        };
        match answered {
            Ok(response) => told(spec, response).await,
            Err(error) => failed(error.into_message()),
        }
    }
}

/// The body of an answer over HTTP as the text of a tool's result.
async fn told(spec: &ToolSpec, response: Response) -> CallToolResult {
    let partial = response.headers().get(PARTIAL_HEADER).and_then(|reason| reason.to_str().ok());
    let partial = partial.map(|reason| format!("This answer may not be complete: {reason}"));
    let Ok(body) = to_bytes(response.into_body(), MAX_ANSWER).await else {
        return failed(format!("the answer has more than {MAX_ANSWER} bytes: ask for less"));
    };
    let texts = [Some(String::from_utf8_lossy(&body).into_owned()), partial];
    let content = texts.into_iter().flatten().map(ContentBlock::text).collect();
    let meta = [("type", spec.kind), ("encoding", spec.encoding), ("version", META_VERSION)];
    let meta: JsonObject = meta.into_iter().map(|(key, value)| (key.to_owned(), value.into())).collect();
    CallToolResult::success(content).with_meta(Some(MetaObject(meta)))
}

fn failed(reason: String) -> CallToolResult {
    CallToolResult::error(vec![ContentBlock::text(reason)])
}

#[cfg(test)]
mod tests;
