//! TraceQL expressions over one span, by the rules of `reference/tempo.md` 4.5. One evaluator; what differs is where
//! operands come from: columns of a batch ([`columnar`]) or a trace in memory ([`rows`]).

pub(crate) mod columnar;
mod compare;
mod filter;
mod need;
mod operand;
pub(crate) mod rows;
mod sum;
pub(crate) mod vector;

pub(crate) use compare::{compare, compare_numbers};
pub(crate) use filter::{Filter, Operands, trace_level};
pub(crate) use need::Need;
pub(crate) use operand::Operand;
pub(crate) use sum::ExactSum;

#[cfg(test)]
mod tests;
