//! Connectors: one folder per kind of source. A connector turns what a hospital system emits into Arrow batches in which
//! every field is text under the source's own name, the position of each record, the hash of each row, and the records it
//! could not read; [`hl7`] also what a listener answers with. It knows neither Delta nor models. Only a source that is a
//! conversation ([`kafka`]) needs an async runtime.

mod error;
pub mod files;
pub mod hl7;
pub mod kafka;
mod position;
mod rejected;
pub mod source;

pub use error::ConnectError;
pub use files::{
    Chunk, Event, FileReport, FoundFile, Limits, belongs, discover, is_lines_of_objects, read, read_bytes, read_within,
};
pub use kafka::{KafkaBatch, KafkaFeed, KafkaSettings};
pub use rejected::{MAX_REJECTED_BYTES, RejectReason, Rejected};
pub use source::{ConfigProblem, FileTable};
