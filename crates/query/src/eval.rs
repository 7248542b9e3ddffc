//! TraceQL expressions over one span, by the rules of `reference/tempo.md` 4.5. One evaluator; what differs is where
//! operands come from: columns of a batch ([`columnar`]) or a trace in memory ([`rows`]).

pub(crate) mod columnar;
mod compare;
mod filter;
mod operand;
pub(crate) mod rows;

pub(crate) use filter::{Filter, Operands, trace_level};
pub(crate) use operand::Operand;

#[cfg(test)]
mod tests;
