//! Which zones of a block may have spans that a filter holds on.

use std::ops::{Range, RangeInclusive};
use std::sync::Arc;

use vivace_base::{MemoryBudget, MemoryRefused};
use vivace_model::schema::{self, AttributeColumn, AttributeScope, ValueType};
use vivace_storage::BlockReader;
use vivace_storage::block::Kept;
use vivace_storage::index::{IndexScope, LISTED_KEYS, ValueHash, ZONE_ROWS, ZoneColumn};
use vivace_traceql::{Attribute, Intrinsic, Scope};

use crate::eval::{Filter, Need};
use crate::plan::Condition;
use crate::source::Piece;

/// What a query's filters need, looked up in one piece.
#[derive(Debug, Clone)]
pub(crate) struct Pruning {
    filters: Vec<Test>,
}

/// A need with the zones that decide on it.
#[derive(Debug, Clone)]
enum Test {
    Anything,
    Present(Zones),
    Text(Zones, ValueHash),
    Number(Zones, RangeInclusive<i64>, RangeInclusive<f64>),
    /// Some row has a list with the key.
    Listed(Zones, ValueHash),
    All(Vec<Test>),
    Any(Vec<Test>),
}

type Zones = Arc<Kept<ZoneColumn>>;

impl Pruning {
    /// Looks up what is known of a piece.
    pub(crate) async fn of_piece(
        filters: &[Filter],
        piece: &Piece,
        budget: &Arc<MemoryBudget>,
    ) -> Result<Self, MemoryRefused> {
        match piece.block() {
            Some(reader) => Self::of_block(filters, reader, budget).await,
            None => Ok(Self::none(filters.len())),
        }
    }

    /// Nothing is known of the piece.
    pub(crate) fn none(filters: usize) -> Self {
        Self { filters: vec![Test::Anything; filters] }
    }

    async fn of_block(
        filters: &[Filter],
        reader: &BlockReader,
        budget: &Arc<MemoryBudget>,
    ) -> Result<Self, MemoryRefused> {
        if !reader.has_zones(budget).await? {
            return Ok(Self::none(filters.len()));
        }
        let mut tests = Vec::with_capacity(filters.len());
        for filter in filters {
            tests.push(Lookup { reader, budget }.test(&filter.need()).await?);
        }
        Ok(Self { filters: tests })
    }

    /// Whether a trace with spans in these zones only may meet the condition.
    pub(crate) fn may_meet(&self, condition: &Condition, zones: &Range<usize>) -> bool {
        condition.is_met(&|filter, _| self.may_hold(filter, zones))
    }

    /// Whether the filter may hold on a span in these zones.
    pub(crate) fn may_hold(&self, filter: usize, zones: &Range<usize>) -> bool {
        self.filters.get(filter).is_none_or(|test| zones.clone().any(|zone| test.may_hold(zone)))
    }
}

/// The zones that rows lie in.
pub(crate) fn zones_of(rows: &Range<usize>) -> Range<usize> {
    rows.start / ZONE_ROWS..rows.end.div_ceil(ZONE_ROWS)
}

impl Test {
    fn may_hold(&self, zone: usize) -> bool {
        match self {
            Self::Anything => true,
            Self::Present(zones) => zones.may_have_any(zone),
            Self::Text(zones, hash) | Self::Listed(zones, hash) => zones.may_have(zone, *hash),
            Self::Number(zones, ints, floats) => zones.may_overlap(zone, ints, floats),
            Self::All(tests) => tests.iter().all(|test| test.may_hold(zone)),
            Self::Any(tests) => tests.iter().any(|test| test.may_hold(zone)),
        }
    }
}

struct Lookup<'a> {
    reader: &'a BlockReader,
    budget: &'a Arc<MemoryBudget>,
}

impl Lookup<'_> {
    async fn test(&self, need: &Need) -> Result<Test, MemoryRefused> {
        Ok(match need {
            Need::Anything => Test::Anything,
            Need::All(needs) => Test::All(Box::pin(self.tests(needs)).await?),
            Need::Any(needs) => Test::Any(Box::pin(self.tests(needs)).await?),
            Need::Present(attribute) | Need::Text(attribute, _) | Need::Number(attribute, ..) => {
                self.attribute(attribute, need).await?
            }
        })
    }

    async fn tests(&self, needs: &[Need]) -> Result<Vec<Test>, MemoryRefused> {
        let mut tests = Vec::with_capacity(needs.len());
        for need in needs {
            tests.push(self.test(need).await?);
        }
        Ok(tests)
    }

    async fn attribute(&self, attribute: &Attribute, need: &Need) -> Result<Test, MemoryRefused> {
        let (scope, key) = match attribute {
            Attribute::Intrinsic(intrinsic) => return self.intrinsic(*intrinsic, need).await,
            Attribute::Named { scope, name, .. } => (*scope, name),
        };
        let own: &[AttributeScope] = match scope {
            Scope::Span => &[AttributeScope::Span],
            Scope::Resource => &[AttributeScope::Resource],
            Scope::Instrumentation => &[AttributeScope::Instrumentation],
            Scope::None => &AttributeScope::ALL,
            Scope::Event | Scope::Link => &[],
        };
        let nested: &[IndexScope] = match scope {
            Scope::None => &[IndexScope::Event, IndexScope::Link],
            Scope::Event => &[IndexScope::Event],
            Scope::Link => &[IndexScope::Link],
            _ => &[],
        };
        let mut tests = Vec::new();
        for scope in own {
            for value_type in types(need) {
                let column = AttributeColumn { scope: *scope, key: key.clone(), value_type: *value_type };
                tests.extend(self.column(&column.column_name(), need).await?);
            }
        }
        // A list may hold values of any type, arrays among them.
        if let Some(keys) = self.reader.zones(LISTED_KEYS, self.budget).await? {
            let scopes = own.iter().map(|scope| IndexScope::from(*scope)).chain(nested.iter().copied());
            tests.extend(scopes.map(|scope| Test::Listed(Arc::clone(&keys), ValueHash::of_key(scope, key))));
        } else {
            return Ok(Test::Anything);
        }
        Ok(Test::Any(tests))
    }

    /// The test of one column; [`None`] when no row has a value in it.
    async fn column(&self, name: &str, need: &Need) -> Result<Option<Test>, MemoryRefused> {
        let Some(zones) = self.reader.zones(name, self.budget).await? else {
            let exists = self.reader.schema().column_with_name(name).is_some();
            return Ok(exists.then_some(Test::Anything));
        };
        Ok(Some(match need {
            Need::Text(_, hash) => Test::Text(zones, *hash),
            Need::Number(_, ints, floats) => Test::Number(zones, ints.clone(), floats.clone()),
            _ => Test::Present(zones),
        }))
    }

    async fn intrinsic(&self, intrinsic: Intrinsic, need: &Need) -> Result<Test, MemoryRefused> {
        let name = match (intrinsic, need) {
            (Intrinsic::Name, Need::Text(..)) => schema::NAME,
            (Intrinsic::StatusMessage, Need::Text(..)) => schema::STATUS_MESSAGE,
            (Intrinsic::InstrumentationName, Need::Text(..)) => schema::SCOPE_NAME,
            (Intrinsic::InstrumentationVersion, Need::Text(..)) => schema::SCOPE_VERSION,
            (Intrinsic::Duration, Need::Number(..)) => schema::DURATION,
            (Intrinsic::Kind, Need::Number(..)) => schema::KIND,
            (Intrinsic::Status, Need::Number(..)) => schema::STATUS,
            _ => return Ok(Test::Anything),
        };
        Ok(self.column(name, need).await?.unwrap_or(Test::Anything))
    }
}

/// The types of values that can do.
fn types(need: &Need) -> &'static [ValueType] {
    match need {
        Need::Text(..) => &[ValueType::String],
        Need::Number(..) => &[ValueType::Int, ValueType::Float],
        _ => &[ValueType::String, ValueType::Bool, ValueType::Int, ValueType::Float],
    }
}
