//! The bed ledger: named scenarios with the census then and now, HL7 messages and what they come to, and any order of arrival ends in the
//! same ledger.

mod messages;
mod permutations;
mod scenarios;
