use std::time::Duration;

use axum::http::StatusCode;
use bytes::Bytes;
use prost::Message;
use tonic::{Code, Status};
use vivace_base::{ErrorKind, MemoryRefused, Retry};
use vivace_ingest::IngestError;
use vivace_model::InvalidTenant;
use vivace_query::QueryError;

use crate::ask::InvalidQuestion;
use crate::codes;
use crate::config::Limits;
use crate::limits::RateLimited;

/// Why a request was not taken, in the terms of both protocols.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(super) kind: ErrorKind,
    pub(super) status: StatusCode,
    pub(super) code: Code,
    pub(super) message: String,
    retry: Retry,
}

impl Refusal {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let (status, code, retry) = (codes::otlp_http(kind), codes::grpc(kind), kind.retry());
        Self { kind, status, code, message: message.into(), retry }
    }

    /// The write-ahead log is being replayed.
    pub(crate) fn starting() -> Self {
        Self::new(ErrorKind::Unavailable, "starting: the write-ahead log is being replayed; retry later")
    }

    /// What it tells a tenant with these limits.
    pub(super) fn for_tenant(mut self, limits: &Limits) -> Self {
        if self.code == Code::ResourceExhausted && !limits.ingestion_retry_info_enabled {
            self.retry = Retry::Never;
        }
        self
    }

    /// How long to wait before trying again, if that is worth it.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self.retry {
            Retry::After(time) => Some(time),
            Retry::Never => None,
        }
    }

    /// `google.rpc.Status`, binary.
    pub(super) fn to_protobuf(&self) -> Bytes {
        let details = self.retry_after().map(|time| {
            let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
            let retry_delay = Some(DurationMessage { seconds, nanos: time.subsec_nanos().cast_signed() });
            AnyMessage { type_url: RETRY_INFO.to_owned(), value: RetryInfo { retry_delay }.encode_to_vec() }
        });
        let details = details.into_iter().collect();
        let status = RpcStatus { code: self.code as i32, message: self.message.clone(), details };
        status.encode_to_vec().into()
    }

    /// `google.rpc.Status` as protobuf JSON.
    pub(super) fn to_json(&self) -> String {
        let mut status = serde_json::json!({ "code": self.code as i32, "message": self.message });
        if let Some(time) = self.retry_after() {
            let delay = format!("{}s", time.as_secs_f64());
            status["details"] = serde_json::json!([{ "@type": RETRY_INFO, "retryDelay": delay }]);
        }
        status.to_string()
    }
}

impl From<IngestError> for Refusal {
    fn from(error: IngestError) -> Self {
        Self::new(error.kind(), error.to_string())
    }
}

impl From<QueryError> for Refusal {
    fn from(error: QueryError) -> Self {
        Self::new(error.kind(), error.to_string())
    }
}

impl From<InvalidQuestion> for Refusal {
    fn from(error: InvalidQuestion) -> Self {
        Self::new(error.kind(), error.to_string())
    }
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        let details = refusal.to_protobuf();
        Self::with_details(refusal.code, refusal.message, details)
    }
}

impl From<RateLimited> for Refusal {
    fn from(limited: RateLimited) -> Self {
        let mut refusal = Self::new(ErrorKind::Overloaded, limited.to_string());
        if matches!(limited, RateLimited::TooLarge { .. }) {
            refusal.retry = Retry::Never;
        }
        refusal
    }
}

impl From<MemoryRefused> for Refusal {
    fn from(refused: MemoryRefused) -> Self {
        Self::new(ErrorKind::Overloaded, format!("{refused}; retry later"))
    }
}

impl From<InvalidTenant> for Refusal {
    fn from(error: InvalidTenant) -> Self {
        let mut refusal = Self::new(ErrorKind::InvalidInput, error.to_string());
        if error == InvalidTenant::Missing {
            (refusal.status, refusal.code) = (StatusCode::UNAUTHORIZED, Code::Unauthenticated);
        }
        refusal
    }
}

const RETRY_INFO: &str = "type.googleapis.com/google.rpc.RetryInfo";

/// `google.rpc.Status`
#[derive(Clone, PartialEq, Message)]
pub(super) struct RpcStatus {
    #[prost(int32, tag = "1")]
    pub(super) code: i32,
    #[prost(string, tag = "2")]
    pub(super) message: String,
    #[prost(message, repeated, tag = "3")]
    pub(super) details: Vec<AnyMessage>,
}

/// `google.protobuf.Any`
#[derive(Clone, PartialEq, Message)]
pub(super) struct AnyMessage {
    #[prost(string, tag = "1")]
    pub(super) type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) value: Vec<u8>,
}

/// `google.rpc.RetryInfo`
#[derive(Clone, PartialEq, Message)]
pub(super) struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    pub(super) retry_delay: Option<DurationMessage>,
}

/// `google.protobuf.Duration`
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(super) struct DurationMessage {
    #[prost(int64, tag = "1")]
    pub(super) seconds: i64,
    #[prost(int32, tag = "2")]
    pub(super) nanos: i32,
}
