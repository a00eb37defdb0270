//! The lake's own tables, in schema `system`: what ran, what was loaded, what was rejected, what was found and decided. Plain Delta
//! tables like all others, written by appends, read by `wardlake sql`.

mod aging;
mod alerts;
mod audits;
mod bounds;
mod identity;
mod loads;
mod relations;
mod runs;
mod table;

pub use self::{
    aging::retention,
    alerts::record_notices,
    audits::{AuditRecord, record_audits},
    bounds::{KpiBound, bound_rows},
    identity::{IDENTITY_DECISIONS, IdentityRow, append_identity, ensure_identity, prepare_identity},
    loads::{LoggedFile, RejectedRow, load_rows, rejected_rows, repeated_rows},
    relations::relations,
    runs::record_run,
    table::{Columns, SCHEMA, append, append_streams, ledger_hours, replace},
};
