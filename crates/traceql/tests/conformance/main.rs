//! Proof that the language is the one of `reference/tempo.md` section 4: tables of valid and refused queries, and what
//! holds of any text.

#[cfg(test)]
mod guide;
#[cfg(test)]
mod invariants;
#[cfg(test)]
mod mutation;
#[cfg(test)]
mod tables;
