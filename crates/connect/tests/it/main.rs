//! The file connector through its public API.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test ends where it fails"
)]

mod config;
mod csv;
mod discovery;
mod encodings;
mod fuzz;
mod hl7;
mod json;
mod parquet;
mod real_data;
mod round_trip;
mod support;
