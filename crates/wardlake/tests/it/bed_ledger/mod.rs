//! The bed ledger: named scenarios with the census then and now, HL7 messages and what they come to, each trigger of the chapter among them,
//! and any order of arrival ends in the same ledger.

mod chapter3;
mod messages;
mod permutations;
mod scenarios;
