//! The connectors through their public API.
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
mod foreign;
mod fuzz;
mod hl7;
mod json;
mod kafka;
mod kafka_settings;
mod parquet;
mod real_data;
mod round_trip;
mod support;
