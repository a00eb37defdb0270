//! Runs a project's graph: materializations, tests, audits, gates, epochs, in batch and in waves with one code path. Knows nobody who
//! makes something of a run afterwards: that is composed by who asked for it, between [`build`] and [`Built::finish`].

mod adapter;
mod audit;
mod compile;
mod consume;
mod context;
mod error;
mod failed;
mod fingerprint;
mod live;
mod materialize;
mod node;
mod publish;
mod run;
mod schedule;
mod seed;
mod testing;

pub use audit::{catch_up, lenient_rows, quarantine::set_state, source_of};
pub use compile::{compile, compile_inline, compile_node};
pub use context::BuildOptions;
pub use error::BuildError;
pub use failed::place_as_written;
pub use live::{
    FIRST_PAUSE, Follower, LONGEST_PAUSE, Live, LiveOptions, MAX_VIEW_ROWS, ModelNews, Pace, Pictures, Refresher,
    StoppedModel, Wave,
};
pub use run::{Built, build};
