//! The binary from outside: real files in, a real lake on disk, SQL out.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test ends where it fails"
)]

mod commands;
mod drift;
mod examples;
mod history;
mod killed;
mod peers;
mod schemas;
mod world;
