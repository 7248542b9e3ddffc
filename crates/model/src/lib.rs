//! What a span is: ids, tenant, times, attribute values, the span itself, the trace assembled from spans, and the
//! Arrow schema that head and blocks share. Knows no file format, no object store and no protocol.

mod ids;
mod json;
pub mod schema;
mod span;
mod tenant;
mod time;
mod trace;
mod value;

pub use ids::{ParseIdError, SpanId, TraceId};
pub use span::{Event, Link, Resource, Scope, Span, SpanKind, StatusCode};
pub use tenant::{InvalidTenant, TenantId, Tenants};
pub use time::TimeRange;
pub use trace::{NestedSet, Trace};
pub use value::{Attribute, Value};
