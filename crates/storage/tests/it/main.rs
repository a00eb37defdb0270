//! Tests of the lake through its public surface, on real folders.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test ends where it fails"
)]

mod damaged;
mod epochs;
mod expire;
mod held;
mod incremental;
mod landing;
mod maintain;
mod merge;
mod model;
mod scd2;
mod schema;
mod state;
mod support;
mod write;
