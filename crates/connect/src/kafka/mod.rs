//! Kafka and Event Hubs: a conversation with brokers → records with topic, partition and offset, in offset order.
//!
//! **Positions come from the caller.** The broker's committed offsets say how far a group got in its own opinion; the truth
//! is what the caller's table holds. Whenever a partition is assigned (at the start and after each rebalance) the feed asks
//! the caller for the next offset to read and delivers nothing of that partition before it has the answer.
//!
//! **Exactly once** is then the caller's one comparison: each [`PartitionBatch`] says which position it follows on
//! ([`PartitionBatch::from`]) and which one it leads to ([`PartitionBatch::next`]). Under the lock of its table the caller
//! lets the part be compared with its ledger ([`PartitionBatch::fit`]), and what follows on is written together with `next`,
//! in one commit. A batch that was delivered before a rebalance took its partition away is therefore still safe to commit:
//! either nobody else has committed those records, or somebody has and the comparison says so.
//!
//! **Outages are a state, not an end.** A broker that cannot be reached, a topic that does not exist yet, a password that is
//! refused: the feed keeps trying, with growing pauses, and says so in its [`KafkaStatus`]. What is lost for good (offsets the
//! broker has deleted before they were read) is an [`OffsetGap`] in the batch, never silence.
//!
//! Values are bytes to the feed; as a [source](crate::source::Log) it makes rows of them, in the format that its table is set to.

mod batch;
mod feed;
mod pending;
mod rows;
mod session;
mod settings;
mod source;
mod status;

pub use crate::source::Fit;
pub use batch::{KafkaBatch, KafkaPosition, KafkaRecord, OffsetGap, PartitionBatch};
pub use feed::KafkaFeed;
pub use settings::{KafkaSettings, Sasl, SaslMechanism, Security, Start};
pub(crate) use source::KIND;
pub use status::{KafkaMonitor, KafkaStatus, KafkaTrouble, PartitionStatus};
