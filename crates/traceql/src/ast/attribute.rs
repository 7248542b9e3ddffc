/// Names a value of a span, or of what belongs to it: trace, resource, events, links, instrumentation scope.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Attribute {
    /// A field every span has by its nature.
    Intrinsic(Intrinsic),
    /// A key set by the application.
    Named {
        /// Where it is looked up.
        scope: Scope,
        /// Key without scope and without quotes.
        name: String,
        /// `parent.`: of the parent span. Parses, but is not supported yet.
        parent: bool,
    },
}

/// Where a named attribute is looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// No scope: span, resource, event, link, instrumentation; the first that has the key wins.
    None,
    /// `span.`
    Span,
    /// `resource.`
    Resource,
    /// `event.`
    Event,
    /// `link.`
    Link,
    /// `instrumentation.`
    Instrumentation,
}

/// Intrinsic fields (`reference/tempo.md` 4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Intrinsic {
    /// `duration`, `span:duration`
    Duration,
    /// `name`, `span:name`
    Name,
    /// `status`, `span:status`
    Status,
    /// `statusMessage`, `span:statusMessage`
    StatusMessage,
    /// `kind`, `span:kind`
    Kind,
    /// `rootName`, `trace:rootName`
    RootName,
    /// `rootServiceName`, `trace:rootService`
    RootServiceName,
    /// `traceDuration`, `trace:duration`
    TraceDuration,
    /// `trace:id`, hex
    TraceId,
    /// `span:id`, hex
    SpanId,
    /// `span:parentID`, hex, empty for a root
    ParentId,
    /// `span:childCount`, direct children
    ChildCount,
    /// `event:name`
    EventName,
    /// `event:timeSinceStart`
    EventTimeSinceStart,
    /// `link:traceID`, hex
    LinkTraceId,
    /// `link:spanID`, hex
    LinkSpanId,
    /// `instrumentation:name`
    InstrumentationName,
    /// `instrumentation:version`
    InstrumentationVersion,
    /// `nestedSetLeft`
    NestedSetLeft,
    /// `nestedSetRight`
    NestedSetRight,
    /// `nestedSetParent`, -1 for a root
    NestedSetParent,
    /// `parent`. Parses, but is not supported yet.
    Parent,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 6] =
        [Self::None, Self::Span, Self::Resource, Self::Event, Self::Link, Self::Instrumentation];

    /// The word before the dot; empty for no scope.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Span => "span",
            Self::Resource => "resource",
            Self::Event => "event",
            Self::Link => "link",
            Self::Instrumentation => "instrumentation",
        }
    }
}

impl Intrinsic {
    /// Every intrinsic.
    pub const ALL: [Self; 22] = [
        Self::Duration,
        Self::Name,
        Self::Status,
        Self::StatusMessage,
        Self::Kind,
        Self::RootName,
        Self::RootServiceName,
        Self::TraceDuration,
        Self::TraceId,
        Self::SpanId,
        Self::ParentId,
        Self::ChildCount,
        Self::EventName,
        Self::EventTimeSinceStart,
        Self::LinkTraceId,
        Self::LinkSpanId,
        Self::InstrumentationName,
        Self::InstrumentationVersion,
        Self::NestedSetLeft,
        Self::NestedSetRight,
        Self::NestedSetParent,
        Self::Parent,
    ];

    /// The name used in query results, and by the printer.
    pub fn name(self) -> &'static str {
        match self {
            Self::Duration => "duration",
            Self::Name => "name",
            Self::Status => "status",
            Self::StatusMessage => "statusMessage",
            Self::Kind => "kind",
            Self::RootName => "rootName",
            Self::RootServiceName => "rootServiceName",
            Self::TraceDuration => "traceDuration",
            Self::TraceId => "trace:id",
            Self::SpanId => "span:id",
            Self::ParentId => "span:parentID",
            Self::ChildCount => "span:childCount",
            Self::EventName => "event:name",
            Self::EventTimeSinceStart => "event:timeSinceStart",
            Self::LinkTraceId => "link:traceID",
            Self::LinkSpanId => "link:spanID",
            Self::InstrumentationName => "instrumentation:name",
            Self::InstrumentationVersion => "instrumentation:version",
            Self::NestedSetLeft => "nestedSetLeft",
            Self::NestedSetRight => "nestedSetRight",
            Self::NestedSetParent => "nestedSetParent",
            Self::Parent => "parent",
        }
    }

    /// The intrinsic of this name, in the legacy spelling (`rootServiceName`) or the scoped one (`trace:rootService`).
    pub fn from_name(name: &str) -> Option<Self> {
        let scoped = match name {
            "span:duration" => Self::Duration,
            "span:name" => Self::Name,
            "span:status" => Self::Status,
            "span:statusMessage" => Self::StatusMessage,
            "span:kind" => Self::Kind,
            "trace:rootName" => Self::RootName,
            "trace:rootService" => Self::RootServiceName,
            "trace:duration" => Self::TraceDuration,
            _ => return Self::ALL.into_iter().find(|intrinsic| intrinsic.name() == name),
        };
        Some(scoped)
    }
}

impl Attribute {
    /// The key the value has in query results: the name without scope.
    pub fn bare_name(&self) -> &str {
        match self {
            Self::Intrinsic(intrinsic) => intrinsic.name(),
            Self::Named { name, .. } => name,
        }
    }
}
