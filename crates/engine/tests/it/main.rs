//! Integration tests of the engine: SQL behaviour is in `tests/slt`, invariants are here.

// Helpers of tests fail by panicking, as tests do.
#![allow(clippy::unwrap_used, clippy::panic)]

mod dialect;
mod documented;
mod guards;
mod invariants;
mod layouts;
mod memory;
mod recurring;
mod slt;
mod viewers;
