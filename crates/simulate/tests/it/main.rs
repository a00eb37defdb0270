//! The simulator through its front door: options in, files out.

#![allow(clippy::expect_used, clippy::panic, reason = "a helper of a test fails the test")]

mod beds;
mod census;
mod dirt;
mod expected;
mod files;
mod hl7;
mod layout;
mod loader;
mod rows;
mod signs;
mod truth;
