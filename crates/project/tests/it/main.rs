//! The project reader through its front door: folders on disk in, projects and problems out.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test ends where it fails"
)]

mod artifacts;
mod compile;
mod jinja;
mod load;
mod many;
mod problems;
mod select;
mod support;
