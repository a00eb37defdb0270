//! SQL over one state of the lake: DataFusion sessions whose catalog is either the working state or one epoch, with the
//! functions and spellings that dbt projects and hospital SQL expect.

mod catalog;
mod depth;
pub mod dialect;
mod error;
mod expected;
pub mod functions;
mod join_sides;
mod memory;
mod options;
mod place;
mod recurring;
mod scan;
mod session;
mod share;
mod shared;
pub mod sql;
mod words;

pub use catalog::ReadState;
pub use depth::THREAD_STACK_BYTES;
pub use error::EngineError;
pub use options::EngineOptions;
pub use place::Place;
pub use session::{Engine, Query, Session};
pub use words::with_cause;
