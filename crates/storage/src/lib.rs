//! The lake: Delta tables in a folder or bucket, written exactly once, read at fixed versions, published as epochs.
//!
//! - [`Lake`] opens a place and hands out [`TableSnapshot`]s.
//! - Writes go through [`Lake`]'s `append`, `overwrite`, `merge`, … Each is one Delta commit that carries a [`Commit`]'s ledger;
//!   a commit whose ledger the table already has writes nothing ([`CommitOutcome::AlreadyApplied`]).
//! - [`Epoch`]s, views and landed files live beside the tables.
//!
//! **Invariant:** within a process each table has one writer at a time; between processes the log's put-if-absent decides, and
//! the loser builds its commit again on the winner's state.
//!
//! **Invariant:** on a local disk a commit is visible only after everything it names is synced.

mod checksum;
mod claim;
mod clean_log;
mod commit;
mod data_writer;
mod disk;
mod durable_store;
mod epochs;
mod error;
mod expire;
mod fence;
mod file_stats;
mod grace;
mod held;
mod in_use;
mod incremental;
mod lake;
mod landing;
mod leftovers;
mod location;
mod log;
mod maintain;
mod merge;
mod replace;
mod rewrite;
mod scd2;
mod schema_change;
mod sightings;
mod snapshot;
mod spool;
mod stage;
mod state;
mod table;
mod types;
mod views;
mod write;

pub use claim::Mark;
pub use clean_log::LogReaders;
pub use commit::{Commit, CommitOutcome, Follows};
pub use disk::free_bytes;
pub use epochs::{COUNTED_ON, Epoch, EpochDiff, EpochDraft, EpochRetention, Pin, PublishedVersions, Withdrawn};
pub use error::{StorageError, refused_memory};
pub use expire::{Expiry, LEDGER_RETENTION, ledger_retention};
pub use held::{HeldFiles, HeldRows, KEY_BYTES as HELD_KEY_BYTES, ROW_BYTES as HELD_ROW_BYTES};
pub use incremental::CHANGE_TYPE;
pub use lake::Lake;
pub use landing::LandingWriter;
pub use maintain::{OptimizeSpec, VacuumGrace, VacuumReport};
pub use merge::{DeleteInsertSpec, MergeSpec};
pub use parquet::basic::Encoding;
pub use scd2::{HardDeletes, Scd2Columns, Scd2Outcome, Scd2Spec, Scd2Strategy};
pub use schema_change::SchemaChange;
pub use snapshot::{HistoryEntry, TableFile, TableSnapshot};
pub use stage::StagedFiles;
pub use types::{cast_batch, delta_schema, delta_type};
pub use views::View;
pub use write::WriteOptions;
