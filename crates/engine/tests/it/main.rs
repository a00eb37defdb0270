//! Integration tests of the engine: SQL behaviour is in `tests/slt`, invariants are here.

mod documented;
mod invariants;
mod layouts;
mod slt;
