//! Proof that the language is the one of `reference/tempo.md` section 4: tables of valid and refused queries, and what
//! holds of any text.

mod guide;
mod invariants;
mod mutation;
mod tables;
