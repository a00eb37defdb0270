//! What a command asks of the server that has the lake, in place of doing it beside: a build, or sending set-aside deliveries through again.
//!
//! The server leaves in the lake's `_state` folder where on this machine it listens, in a file for its own user alone, with two secrets.
//! A command shows the first, and goes on when it is shown the second: whatever else may have taken the port of a server that is gone
//! learns nothing of use. What happens comes back as lines of JSON, the run's own events among them. Who goes away cancels.

mod ask;
mod contact;

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};
use wardlake_build::BuildOptions;
use wardlake_core::ErrorKind;
use wardlake_load::ReplayOptions;
use wardlake_records::RunEvent;

pub use self::ask::{HandOverError, SILENT, hand_over};
pub(crate) use self::contact::{Contact, Published};

/// Where it is asked for.
pub(crate) const PATH: &str = "/v1/handover";
/// A line comes so often at least, so that either side notices that the other is gone.
pub(crate) const ALIVE_EVERY: Duration = Duration::from_secs(2);
/// Both sides are of one version: what a build makes, and what it keeps, is the program's.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What a command asks for.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Errand {
    /// Run nodes of a project.
    Build(Box<BuildErrand>),
    /// Send deliveries that were set aside through again.
    Replay(ReplayOptions),
}

/// A build, and the project as the command has read it.
#[derive(Clone, Serialize, Deserialize)]
pub struct BuildErrand {
    /// The project's folder, absolute.
    pub dir: PathBuf,
    /// The target of wardlake.yml, if one was named.
    pub target: Option<String>,
    /// The lake, if one was named.
    pub lake: Option<String>,
    /// `--vars`.
    pub vars: Map<String, Json>,
    /// The environment variables that the project asked for, as the command has them.
    pub env: BTreeMap<String, Option<String>>,
    /// The run's id.
    pub invocation_id: String,
    /// When the command began.
    pub run_started_at: DateTime<Utc>,
    /// What to run, and how.
    pub options: BuildOptions,
}

/// Values of variables may be secrets.
impl std::fmt::Debug for BuildErrand {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BuildErrand").field("dir", &self.dir).field("options", &self.options).finish_non_exhaustive()
    }
}

/// How the server shows that it is the one.
#[derive(Serialize, Deserialize)]
pub(crate) struct Proof {
    pub(crate) secret: String,
    pub(crate) version: String,
}

/// A line of the answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(clippy::large_enum_variant, reason = "lines are few and moved, not stored in bulk")]
pub(crate) enum Line {
    /// The errand is taken, or goes on.
    Alive,
    /// Something happened.
    Event(RunEvent),
    /// It came to its end; whether all of it went well.
    Done(bool),
    /// It could not be done.
    Failed { kind: ErrorKind, message: String },
}

impl Line {
    pub(crate) fn failed(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self::Failed { kind, message: message.into() }
    }
}
