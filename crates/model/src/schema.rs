//! The Arrow schema of spans, the same in the live head and in blocks: one row is one span. `docs/formats/block.md`
//! tells the same to readers from outside.
//!
//! Fixed columns come first. Frequent attributes have a typed column of their own, named `{scope}.{key}:{type}`; the
//! rest stand in one list column per scope, in the order sent.

use std::sync::{Arc, LazyLock};

use arrow_schema::{DataType, Field, FieldRef, Fields, Schema};

/// Version of the layout below, written into every block's file metadata under [`FORMAT_KEY`].
pub const FORMAT: u32 = 3;
/// File metadata key of the format version.
pub const FORMAT_KEY: &str = "vivace.format";

/// Trace id, 16 bytes.
pub const TRACE_ID: &str = "trace_id";
/// Span id, 8 bytes.
pub const SPAN_ID: &str = "span_id";
/// Parent's span id, 8 bytes; null for a root.
pub const PARENT_SPAN_ID: &str = "parent_span_id";
/// In files only: how many rows back the parent is, where it stands in the same block before the span;
/// [`PARENT_SPAN_ID`] is null there.
pub const PARENT_OFFSET: &str = "parent_offset";
/// Start in nanoseconds since the Unix epoch.
pub const START: &str = "start_unix_nano";
/// End minus start in nanoseconds, wrapping, so that the end is kept whatever it was.
pub const DURATION: &str = "duration_nano";
/// Span name.
pub const NAME: &str = "name";
/// OTLP number of the kind.
pub const KIND: &str = "kind";
/// OTLP number of the status code.
pub const STATUS: &str = "status_code";
/// Status message; null when empty.
pub const STATUS_MESSAGE: &str = "status_message";
/// W3C tracestate; null when empty.
pub const TRACE_STATE: &str = "trace_state";
/// W3C flags and OTLP's remote bits.
pub const FLAGS: &str = "flags";
/// Dropped attributes, events and links as the sender counted them.
pub const DROPPED_ATTRIBUTES: &str = "dropped_attributes_count";
/// See [`DROPPED_ATTRIBUTES`].
pub const DROPPED_EVENTS: &str = "dropped_events_count";
/// See [`DROPPED_ATTRIBUTES`].
pub const DROPPED_LINKS: &str = "dropped_links_count";
/// Span attributes without a column of their own.
pub const SPAN_ATTRIBUTES: &str = "span_attributes";
/// Resource attributes without a column of their own.
pub const RESOURCE_ATTRIBUTES: &str = "resource_attributes";
/// Resource attributes the sender dropped.
pub const RESOURCE_DROPPED: &str = "resource_dropped_attributes_count";
/// Schema URL of the resource; null when empty.
pub const RESOURCE_SCHEMA_URL: &str = "resource_schema_url";
/// Instrumentation scope name; null when empty.
pub const SCOPE_NAME: &str = "scope_name";
/// Instrumentation scope version; null when empty.
pub const SCOPE_VERSION: &str = "scope_version";
/// Instrumentation scope attributes without a column of their own.
pub const SCOPE_ATTRIBUTES: &str = "scope_attributes";
/// Instrumentation scope attributes the sender dropped.
pub const SCOPE_DROPPED: &str = "scope_dropped_attributes_count";
/// Schema URL of the instrumentation scope; null when empty.
pub const SCOPE_SCHEMA_URL: &str = "scope_schema_url";
/// Events, in the order sent.
pub const EVENTS: &str = "events";
/// Links, in the order sent.
pub const LINKS: &str = "links";

/// In which order a span's attributes were sent, where it is not the order of the own columns and the list: for each
/// attribute sent its position in that order, as a varint. Null in most rows, and a batch may lack the column.
pub const SPAN_ATTRIBUTE_ORDER: &str = "span_attribute_order";
/// The same for resource attributes.
pub const RESOURCE_ATTRIBUTE_ORDER: &str = "resource_attribute_order";
/// The same for instrumentation scope attributes.
pub const SCOPE_ATTRIBUTE_ORDER: &str = "scope_attribute_order";

/// Where an attribute stands and may have a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AttributeScope {
    /// On the span.
    Span,
    /// On its resource.
    Resource,
    /// On its instrumentation scope.
    Instrumentation,
}

/// How a value is written in an attribute list: the `type` of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(i8)]
pub enum ValueType {
    /// No value.
    Empty = 0,
    /// The text itself.
    String = 1,
    /// `true` or `false`.
    Bool = 2,
    /// Decimal.
    Int = 3,
    /// Shortest decimal that reads back the same; `NaN`, `inf`, `-inf`.
    Float = 4,
    /// OTLP JSON `AnyValue`: bytes, arrays, maps.
    Json = 5,
}

impl AttributeScope {
    /// Every scope that may have attribute columns.
    pub const ALL: [AttributeScope; 3] = [Self::Span, Self::Resource, Self::Instrumentation];

    /// TraceQL's word for it, and the first part of a column's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Span => "span",
            Self::Resource => "resource",
            Self::Instrumentation => "instrumentation",
        }
    }

    /// The list column of its attributes.
    pub fn list_column(self) -> &'static str {
        match self {
            Self::Span => SPAN_ATTRIBUTES,
            Self::Resource => RESOURCE_ATTRIBUTES,
            Self::Instrumentation => SCOPE_ATTRIBUTES,
        }
    }

    /// The column of the order its attributes were sent in.
    pub fn order_column(self) -> &'static str {
        match self {
            Self::Span => SPAN_ATTRIBUTE_ORDER,
            Self::Resource => RESOURCE_ATTRIBUTE_ORDER,
            Self::Instrumentation => SCOPE_ATTRIBUTE_ORDER,
        }
    }
}

impl ValueType {
    /// From the number in a list entry.
    pub fn from_code(code: i8) -> Option<Self> {
        [Self::Empty, Self::String, Self::Bool, Self::Int, Self::Float, Self::Json]
            .into_iter()
            .find(|t| *t as i8 == code)
    }

    /// The last part of a column's name; only these four types get columns.
    pub fn column_suffix(self) -> Option<&'static str> {
        match self {
            Self::String => Some("str"),
            Self::Bool => Some("bool"),
            Self::Int => Some("int"),
            Self::Float => Some("float"),
            Self::Empty | Self::Json => None,
        }
    }

    fn data_type(self) -> Option<DataType> {
        match self {
            Self::String => Some(text_type()),
            Self::Bool => Some(DataType::Boolean),
            Self::Int => Some(DataType::Int64),
            Self::Float => Some(DataType::Float64),
            Self::Empty | Self::Json => None,
        }
    }
}

/// An attribute that has a column of its own in some block.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttributeColumn {
    /// Where the attribute stands.
    pub scope: AttributeScope,
    /// Its name without scope.
    pub key: String,
    /// The type of the values in the column.
    pub value_type: ValueType,
}

impl AttributeColumn {
    /// `{scope}.{key}:{type}`, which cannot collide with a fixed column or another attribute.
    pub fn column_name(&self) -> String {
        format!("{}.{}:{}", self.scope.name(), self.key, self.value_type.column_suffix().unwrap_or("none"))
    }

    /// Reads a column's name back; [`None`] for fixed columns.
    pub fn from_column_name(name: &str) -> Option<Self> {
        let scope = AttributeScope::ALL
            .into_iter()
            .find(|s| name.strip_prefix(s.name()).is_some_and(|rest| rest.starts_with('.')))?;
        let (key, suffix) = name.get(scope.name().len() + 1..)?.rsplit_once(':')?;
        let types = [ValueType::String, ValueType::Bool, ValueType::Int, ValueType::Float];
        let value_type = types.into_iter().find(|t| t.column_suffix() == Some(suffix))?;
        Some(Self { scope, key: key.to_owned(), value_type })
    }
}

/// The schema with no attribute columns.
pub fn span_schema() -> Schema {
    Schema::new(fixed_fields())
}

/// The fixed column of this name.
pub fn fixed_field(name: &str) -> Option<FieldRef> {
    static FIELDS: LazyLock<Fields> = LazyLock::new(|| fixed_fields().into());
    FIELDS.find(name).map(|(_, field)| Arc::clone(field))
}

/// The schema of a block in which `columns` have columns of their own, in that order, after the fixed ones.
pub fn block_schema(columns: &[AttributeColumn]) -> Schema {
    let own = columns
        .iter()
        .filter_map(|column| Some(Field::new(column.column_name(), column.value_type.data_type()?, true)));
    Schema::new(fixed_fields().into_iter().chain(own).collect::<Vec<_>>())
}

fn fixed_fields() -> Vec<Field> {
    let required = |name: &str, data_type| Field::new(name, data_type, false);
    let optional = |name: &str, data_type| Field::new(name, data_type, true);
    vec![
        required(TRACE_ID, DataType::FixedSizeBinary(16)),
        required(SPAN_ID, DataType::FixedSizeBinary(8)),
        optional(PARENT_SPAN_ID, DataType::FixedSizeBinary(8)),
        required(START, DataType::UInt64),
        required(DURATION, DataType::Int64),
        required(NAME, text_type()),
        required(KIND, DataType::Int8),
        required(STATUS, DataType::Int8),
        optional(STATUS_MESSAGE, text_type()),
        optional(TRACE_STATE, text_type()),
        required(FLAGS, DataType::UInt32),
        required(DROPPED_ATTRIBUTES, DataType::UInt32),
        required(DROPPED_EVENTS, DataType::UInt32),
        required(DROPPED_LINKS, DataType::UInt32),
        required(SPAN_ATTRIBUTES, attributes_type()),
        required(RESOURCE_ATTRIBUTES, attributes_type()),
        required(RESOURCE_DROPPED, DataType::UInt32),
        optional(RESOURCE_SCHEMA_URL, text_type()),
        optional(SCOPE_NAME, text_type()),
        optional(SCOPE_VERSION, text_type()),
        required(SCOPE_ATTRIBUTES, attributes_type()),
        required(SCOPE_DROPPED, DataType::UInt32),
        optional(SCOPE_SCHEMA_URL, text_type()),
        required(EVENTS, list_of(event_fields())),
        required(LINKS, list_of(link_fields())),
        optional(SPAN_ATTRIBUTE_ORDER, order_type()),
        optional(RESOURCE_ATTRIBUTE_ORDER, order_type()),
        optional(SCOPE_ATTRIBUTE_ORDER, order_type()),
    ]
}

/// `list<struct<key, type, value>>`; `value` is null for [`ValueType::Empty`] only.
pub fn attributes_type() -> DataType {
    list_of(attribute_fields())
}

/// The fields of an entry of an attribute list.
pub fn attribute_fields() -> Fields {
    Fields::from(vec![
        Field::new("key", text_type(), false),
        Field::new("type", DataType::Int8, false),
        Field::new("value", DataType::Utf8, true),
    ])
}

/// Texts of rows and keys repeat without end, so they are dictionary coded in memory too.
pub fn text_type() -> DataType {
    DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
}

/// Orders of attributes are few and repeat.
pub fn order_type() -> DataType {
    DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Binary))
}

/// The fields of an event.
pub fn event_fields() -> Fields {
    Fields::from(vec![
        Field::new("time_unix_nano", DataType::UInt64, false),
        Field::new("name", DataType::Utf8, false),
        Field::new("attributes", attributes_type(), false),
        Field::new("dropped_attributes_count", DataType::UInt32, false),
    ])
}

/// The fields of a link.
pub fn link_fields() -> Fields {
    Fields::from(vec![
        Field::new("trace_id", DataType::Binary, false),
        Field::new("span_id", DataType::Binary, false),
        Field::new("trace_state", DataType::Utf8, true),
        Field::new("flags", DataType::UInt32, false),
        Field::new("attributes", attributes_type(), false),
        Field::new("dropped_attributes_count", DataType::UInt32, false),
    ])
}

fn list_of(fields: Fields) -> DataType {
    DataType::List(Arc::new(Field::new("item", DataType::Struct(fields), false)))
}

#[cfg(test)]
mod tests;
