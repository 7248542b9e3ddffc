//! Filters over a batch, column by column: a part that asks for one attribute is evaluated once per distinct value.

use arrow::array::{Array, BooleanArray, Float64Array, Int8Array, Int64Array, RecordBatch, UInt64Array};
use arrow::buffer::BooleanBuffer;
use vivace_model::schema::{self, AttributeColumn, AttributeScope, ValueType};
use vivace_model::{SpanKind, StatusCode};
use vivace_storage::ColumnError;
use vivace_storage::columns::{EventColumns, LinkColumns, TextColumn, column, list_column, text_column};
use vivace_traceql::{Attribute, BinaryOp, Intrinsic, Scope};

use super::columnar::{Coded, end, rows_hold, values};
use super::filter::{Node, evaluate, of_events, of_links, unscoped};
use super::{Filter, Operand, Operands};

/// For each row whether the filter holds. A filter that needs the whole trace may hold for every row.
pub(crate) fn holds(filter: &Filter, batch: &RecordBatch) -> Result<BooleanBuffer, ColumnError> {
    if filter.needs_trace() {
        return Ok(BooleanBuffer::new_set(batch.num_rows()));
    }
    Part { filter, batch }.holds(filter.root())
}

/// Per row a number for the value of an attribute, if its values stand in one column and are few.
pub(super) fn coded<'a>(
    attribute: &Attribute,
    batch: &'a RecordBatch,
) -> Result<Option<Coded<'a>>, ColumnError> {
    let rows = batch.num_rows();
    Ok(match Values::find(attribute, batch)? {
        Some(Values::Absent) => Some(Coded { codes: vec![0; rows], values: vec![Operand::Nil] }),
        Some(Values::Texts(TextColumn::Coded { codes, texts }, null)) => {
            let null = null.map_or(Operand::Nil, Operand::text);
            let of_null = texts.len() as u32;
            let code = |code: Option<i32>| code.map_or(of_null, i32::cast_unsigned);
            let values = texts.iter().map(|text| Operand::text(text.unwrap_or_default()));
            Some(Coded { codes: codes.iter().map(code).collect(), values: values.chain([null]).collect() })
        }
        Some(Values::Codes(codes, operand)) => {
            let values = (0..=u8::MAX).map(|code| operand(code.cast_signed().into())).collect();
            let code = |code: &i8| u32::from(code.cast_unsigned());
            Some(Coded { codes: codes.values().iter().map(code).collect(), values })
        }
        _ => None,
    })
}

struct Part<'a> {
    filter: &'a Filter,
    batch: &'a RecordBatch,
}

impl Part<'_> {
    fn holds(&self, node: &Node) -> Result<BooleanBuffer, ColumnError> {
        if let Node::And(left, right) | Node::Or(left, right) = node
            && !(self.is_nested(left) && self.is_nested(right))
        {
            let (left, right) = (self.holds(left)?, self.holds(right)?);
            return Ok(if matches!(node, Node::And(..)) { &left & &right } else { &left | &right });
        }
        let mut attributes = node.attributes();
        attributes.sort_unstable();
        attributes.dedup();
        match attributes.as_slice() {
            [] => {
                let holds = is_true(node, Operand::Nil);
                Ok(BooleanBuffer::collect_bool(self.batch.num_rows(), |_| holds))
            }
            [only] => self.only_holds(node, &self.filter.attributes()[*only]),
            _ => rows_hold(self.filter, node, self.batch),
        }
    }

    fn only_holds(&self, node: &Node, attribute: &Attribute) -> Result<BooleanBuffer, ColumnError> {
        let rows = self.batch.num_rows();
        if let Some(values) = Values::find(attribute, self.batch)? {
            return Ok(values.hold(node, rows));
        }
        if is_nested(attribute, self.batch) {
            return rows_hold(self.filter, node, self.batch);
        }
        let values = values(attribute, self.batch)?;
        Ok(BooleanBuffer::collect_bool(rows, |row| is_true(node, values[row].borrowed())))
    }

    /// Whether an event or a link is chosen for the node to hold: the same for all of it.
    fn is_nested(&self, node: &Node) -> bool {
        node.attributes().into_iter().any(|at| is_nested(&self.filter.attributes()[at], self.batch))
    }
}

/// Whether a row may have several values of an attribute, by its events or links.
pub(super) fn is_nested(attribute: &Attribute, batch: &RecordBatch) -> bool {
    of_events(attribute)
        || of_links(attribute)
        || unscoped(attribute).is_some_and(|key| nested_may_have(key, batch))
}

/// Whether an event or a link may have the key. Nobody has projected those that cannot.
fn nested_may_have(key: &str, batch: &RecordBatch) -> bool {
    let events =
        || EventColumns::new(batch, schema::EVENTS).is_ok_and(|events| events.attributes.may_have(key));
    let links = || LinkColumns::new(batch, schema::LINKS).is_ok_and(|links| links.attributes.may_have(key));
    has(batch, schema::EVENTS) && events() || has(batch, schema::LINKS) && links()
}

/// The only attribute a node asks for has this value.
struct Only<'a>(Operand<'a>);

impl Operands for Only<'_> {
    fn get(&self, _: usize) -> Operand<'_> {
        self.0.borrowed()
    }
}

fn is_true(node: &Node, value: Operand<'_>) -> bool {
    evaluate(node, &Only(value)) == Operand::Bool(true)
}

/// An attribute's values where they stand in columns.
enum Values<'a> {
    /// Of several columns the first that has one.
    First(Vec<Values<'a>>),
    /// No row has one.
    Absent,
    /// Null stands for the text given, or for none.
    Texts(TextColumn<'a>, Option<&'static str>),
    Ints(&'a Int64Array),
    Floats(&'a Float64Array),
    Bools(&'a BooleanArray),
    Durations(&'a UInt64Array, &'a Int64Array),
    Codes(&'a Int8Array, fn(i32) -> Operand<'static>),
}

impl<'a> Values<'a> {
    /// [`None`] when they stand in lists, in events or in links.
    fn find(attribute: &Attribute, batch: &'a RecordBatch) -> Result<Option<Self>, ColumnError> {
        let (scope, key) = match attribute {
            Attribute::Intrinsic(intrinsic) => return Self::intrinsic(*intrinsic, batch),
            Attribute::Named { scope, name, .. } => (*scope, name),
        };
        let scopes: &[AttributeScope] = match scope {
            Scope::Span => &[AttributeScope::Span],
            Scope::Resource => &[AttributeScope::Resource],
            Scope::Instrumentation => &[AttributeScope::Instrumentation],
            Scope::None if !nested_may_have(key, batch) => &AttributeScope::ALL,
            Scope::None | Scope::Event | Scope::Link => return Ok(None),
        };
        let mut found = Vec::new();
        for scope in scopes {
            if has(batch, scope.list_column()) && list_column(batch, scope.list_column())?.may_have(key) {
                return Ok(None);
            }
            for value_type in [ValueType::String, ValueType::Bool, ValueType::Int, ValueType::Float] {
                let own = AttributeColumn { scope: *scope, key: key.clone(), value_type };
                if has(batch, &own.column_name()) {
                    found.push(Self::own(&own, batch)?);
                }
            }
        }
        Ok(Some(match found.len() {
            0 => Self::Absent,
            1 => found.remove(0),
            _ => Self::First(found),
        }))
    }

    fn own(own: &AttributeColumn, batch: &'a RecordBatch) -> Result<Self, ColumnError> {
        let name = own.column_name();
        Ok(match own.value_type {
            ValueType::String => Self::Texts(text_column(batch, &name)?, None),
            ValueType::Bool => Self::Bools(column(batch, &name)?),
            ValueType::Int => Self::Ints(column(batch, &name)?),
            ValueType::Float => Self::Floats(column(batch, &name)?),
            ValueType::Empty | ValueType::Json => Self::Absent,
        })
    }

    fn intrinsic(intrinsic: Intrinsic, batch: &'a RecordBatch) -> Result<Option<Self>, ColumnError> {
        use Intrinsic as I;
        let texts = |name| Ok(Some(Self::Texts(text_column(batch, name)?, Some(""))));
        match intrinsic {
            I::Name => texts(schema::NAME),
            I::StatusMessage => texts(schema::STATUS_MESSAGE),
            I::InstrumentationName => texts(schema::SCOPE_NAME),
            I::InstrumentationVersion => texts(schema::SCOPE_VERSION),
            I::Kind => {
                let kind = |code| Operand::Kind(SpanKind::from_otlp(code));
                Ok(Some(Self::Codes(column(batch, schema::KIND)?, kind)))
            }
            I::Status => {
                let status = |code| Operand::Status(StatusCode::from_otlp(code));
                Ok(Some(Self::Codes(column(batch, schema::STATUS)?, status)))
            }
            I::Duration => {
                Ok(Some(Self::Durations(column(batch, schema::START)?, column(batch, schema::DURATION)?)))
            }
            _ => Ok(None),
        }
    }

    /// The rows that have a value of their own.
    fn present(&self, rows: usize) -> BooleanBuffer {
        let nulls = match self {
            Self::Texts(TextColumn::Plain(texts), _) => texts.nulls(),
            Self::Texts(TextColumn::Coded { codes, .. }, _) => codes.nulls(),
            Self::Ints(ints) => ints.nulls(),
            Self::Floats(floats) => floats.nulls(),
            Self::Bools(bools) => bools.nulls(),
            Self::Absent => return BooleanBuffer::new_unset(rows),
            Self::First(_) | Self::Durations(..) | Self::Codes(..) => None,
        };
        nulls.map_or_else(|| BooleanBuffer::new_set(rows), |nulls| nulls.inner().clone())
    }

    fn hold(&self, node: &Node, rows: usize) -> BooleanBuffer {
        match self {
            Self::First(columns) => {
                let nowhere = Self::Absent.hold(node, rows);
                columns.iter().rev().fold(nowhere, |rest, column| {
                    let present = column.present(rows);
                    let absent = !&present;
                    &(&column.hold(node, rows) & &present) | &(&rest & &absent)
                })
            }
            Self::Absent => {
                let holds = is_true(node, Operand::Nil);
                BooleanBuffer::collect_bool(rows, |_| holds)
            }
            Self::Texts(texts, null) => texts_hold(node, *texts, null.map_or(Operand::Nil, Operand::text)),
            Self::Ints(ints) if ints.null_count() == 0 => {
                numbers_hold(node, rows, |row| ints.value(row), Operand::Int)
            }
            Self::Ints(ints) => {
                let null = is_true(node, Operand::Nil);
                let held = numbers_hold(node, rows, |row| ints.value(row), Operand::Int);
                BooleanBuffer::collect_bool(
                    rows,
                    |row| {
                        if ints.is_valid(row) { held.value(row) } else { null }
                    },
                )
            }
            Self::Durations(starts, durations) => {
                let nanos = |row| {
                    let start = starts.value(row);
                    let nanos = end(start, durations.value(row)).saturating_sub(start);
                    i64::try_from(nanos).unwrap_or(i64::MAX)
                };
                numbers_hold(node, rows, nanos, Operand::Duration)
            }
            Self::Floats(floats) => BooleanBuffer::collect_bool(rows, |row| {
                let value = floats.is_valid(row).then(|| floats.value(row));
                is_true(node, value.map_or(Operand::Nil, Operand::Float))
            }),
            Self::Bools(bools) => {
                let [null, no, yes] = [Operand::Nil, Operand::Bool(false), Operand::Bool(true)]
                    .map(|value| is_true(node, value));
                let truth = |row| if bools.value(row) { yes } else { no };
                BooleanBuffer::collect_bool(rows, |row| if bools.is_valid(row) { truth(row) } else { null })
            }
            Self::Codes(codes, operand) => {
                let mut known: [Option<bool>; 256] = [None; 256];
                BooleanBuffer::collect_bool(rows, |row| {
                    let code = codes.value(row);
                    *known[usize::from(code.cast_unsigned())]
                        .get_or_insert_with(|| is_true(node, operand(code.into())))
                })
            }
        }
    }
}

fn has(batch: &RecordBatch, name: &str) -> bool {
    batch.schema_ref().column_with_name(name).is_some()
}

fn texts_hold(node: &Node, texts: TextColumn<'_>, null: Operand<'_>) -> BooleanBuffer {
    let of_null = is_true(node, null);
    match texts {
        TextColumn::Plain(texts) => BooleanBuffer::collect_bool(texts.len(), |row| {
            if texts.is_valid(row) { is_true(node, Operand::text(texts.value(row))) } else { of_null }
        }),
        TextColumn::Coded { codes, texts } => {
            let mut known: Vec<Option<bool>> = vec![None; texts.len()];
            BooleanBuffer::collect_bool(codes.len(), |row| {
                if codes.is_null(row) {
                    return of_null;
                }
                let code = codes.value(row) as usize;
                *known[code].get_or_insert_with(|| is_true(node, Operand::text(texts.value(code))))
            })
        }
    }
}

/// Whole numbers: compared with one, they need no operand each.
fn numbers_hold(
    node: &Node,
    rows: usize,
    number: impl Fn(usize) -> i64,
    operand: fn(i64) -> Operand<'static>,
) -> BooleanBuffer {
    let Some((op, limit)) = node.compares_with() else {
        return BooleanBuffer::collect_bool(rows, |row| is_true(node, operand(number(row))));
    };
    match op {
        BinaryOp::Eq => BooleanBuffer::collect_bool(rows, |row| number(row) == limit),
        BinaryOp::Ne => BooleanBuffer::collect_bool(rows, |row| number(row) != limit),
        BinaryOp::Lt => BooleanBuffer::collect_bool(rows, |row| number(row) < limit),
        BinaryOp::Le => BooleanBuffer::collect_bool(rows, |row| number(row) <= limit),
        BinaryOp::Gt => BooleanBuffer::collect_bool(rows, |row| number(row) > limit),
        _ => BooleanBuffer::collect_bool(rows, |row| number(row) >= limit),
    }
}
