//! What the tests of the other crates share: the `.slt` runner. A dev-dependency only.

pub mod slt;
