//! What the tests of the other crates share: the `.slt` runner and a Kafka broker. A dev-dependency only.

pub mod kafka;
pub mod slt;
