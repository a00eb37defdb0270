//! Runs a project: loads its sources, builds its graph, tests it and publishes what passed. One code path for every
//! command; what happens is told as [`RunEvent`]s.

mod adapter;
mod build;
mod error;
mod event;
mod ingest;
mod publish;
mod system;
mod workspace;

pub use build::{BuildOptions, build, compile, compile_inline};
pub use error::RunnerError;
pub use event::{ColumnDrift, EventSink, FileLoad, NodeResult, RunEvent, Status, Totals};
pub use ingest::{IngestOptions, ingest};
pub use workspace::{RunSummary, Workspace};
