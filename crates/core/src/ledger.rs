//! Exactly once: a Delta commit carries what it consumed as `txn` entries.

/// One entry of a table's ledger: `app_id` names what was consumed, `version` how far.
///
/// A file is `file:<source>.<table>:<sha256>` at version 1; an upstream table is `table:<schema>.<name>` at the
/// consumed Delta version; a run's own table is `run:<invocation id>` at the batch number.
#[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct LedgerEntry {
    /// Delta `txn.appId`.
    pub app_id: String,
    /// Delta `txn.version`; entries of one `app_id` only ever grow.
    pub version: i64,
}

impl LedgerEntry {
    /// An entry for `app_id` consumed up to `version`.
    pub fn new(app_id: impl Into<String>, version: i64) -> Self {
        Self { app_id: app_id.into(), version }
    }
}
