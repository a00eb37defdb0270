//! The nouns every room of Wardlake shares: table and column names, source positions, lineage columns, row hashes, error kinds
//! and diagnostics. No async, no I/O, no query engine.

pub mod columns;
mod diagnostic;
mod error_kind;
mod hex;
mod ledger;
pub mod lineage;
mod row_hash;
mod table_name;

pub use diagnostic::{Diagnostic, Diagnostics, Location, Severity, did_you_mean};
pub use error_kind::{ErrorKind, HasErrorKind};
pub use hex::{hex, push_hex};
pub use ledger::LedgerEntry;
pub use row_hash::{RowHash, RowHasher};
pub use table_name::{TableName, TableNameError};
