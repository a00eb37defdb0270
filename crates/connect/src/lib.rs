//! Connectors: one folder per kind of source, and [one line for each](KINDS). A connector turns what a hospital system emits into Arrow
//! batches in which every field is text under the source's own name, the position of each record, the hash of each row, and the records it
//! could not read; [`hl7`] also what a listener answers with. It knows neither Delta nor models. Only a source that is a conversation
//! ([`kafka`]) needs an async runtime.
//!
//! What else knows a kind: its settings in `schemas/source-table.schema.json`, and a door of the server's where nothing it has fits how its
//! senders speak. Everyone else asks a [source](source::Source).

mod error;
pub mod files;
pub mod hl7;
mod http;
pub mod kafka;
mod mllp;
mod position;
mod registry;
mod rejected;
pub mod source;

pub use error::ConnectError;
pub use files::{
    Chunk, Event, FileReport, FoundFile, KeptRecords, Limits, instant_of, is_lines_of_objects, read_bytes, read_within,
};
pub use kafka::KafkaBatch;
pub use registry::KINDS;
pub use rejected::{MAX_REJECTED_BYTES, RejectReason, Rejected};
pub use source::{ConfigProblem, FileTable, Reading, RejectedRecord, belongs, discover, read};
