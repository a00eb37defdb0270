//! Connectors: one folder per kind of source. A connector turns what a hospital system emits into Arrow batches in which
//! every field is text under the source's own name, the position of each record, the hash of each row, and the records it
//! could not read. It knows neither Delta nor models. Only a source that is a conversation (Kafka) needs an async runtime.

mod error;
pub mod files;
pub mod kafka;
mod position;
mod rejected;
pub mod source;

pub use error::ConnectError;
pub use files::{Chunk, Event, FileReport, FoundFile, Limits, discover, read, read_within};
pub use kafka::{KafkaBatch, KafkaFeed, KafkaSettings};
pub use rejected::{MAX_REJECTED_BYTES, RejectReason, Rejected};
pub use source::{ConfigProblem, FileTable};
