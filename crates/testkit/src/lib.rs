//! What the tests of the other crates share: the `.slt` runner, a Kafka broker, damage of files and the word of a skipped test. A dev-dependency only.

pub mod damage;
pub mod kafka;
pub mod skip;
pub mod slt;
