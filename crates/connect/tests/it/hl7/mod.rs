//! HL7 v2: messages as rows, files of them, frames, and real messages against what another converter read from them.

mod files;
mod frames;
mod mapping;
mod rows;
mod summary;
