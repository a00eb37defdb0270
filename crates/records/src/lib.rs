//! What the lake keeps of itself: the relations of `system.*`, `quarantine.*` and `audit.*` as types, results of runs, and the one
//! stream of run events.
//!
//! Invariant: no SQL of models and no format of a wire is known here.

mod error;
mod event;
pub mod findings;
pub mod quarantine;
mod read;
mod results;
pub mod system;

pub use error::RecordsError;
pub use event::{EventSink, RunEvent};
pub use read::{rows, rows_of};
pub use results::{ColumnDrift, FileLoad, NodeResult, Notice, RunSummary, Status, Totals, UpkeepReport};
