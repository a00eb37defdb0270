//! The simulator through its front door: options in, files out.

mod beds;
mod census;
mod dirt;
mod files;
mod layout;
