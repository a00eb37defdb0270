//! The bed ledger: named scenarios with the census then and now, and any order of arrival ends in the same ledger.

mod permutations;
mod scenarios;
