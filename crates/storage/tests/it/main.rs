//! Tests of the lake through its public surface, on real folders.

mod epochs;
mod incremental;
mod landing;
mod maintain;
mod merge;
mod model;
mod scd2;
mod schema;
mod support;
mod write;
