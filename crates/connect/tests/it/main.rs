//! The file connector through its public API.

mod config;
mod csv;
mod discovery;
mod encodings;
mod json;
mod parquet;
mod real_data;
mod support;
