//! What a caller decides about a load.

use std::{path::PathBuf, sync::Arc};

use chrono::{DateTime, Utc};
use serde_json::{Map, Value as Json};
use wardlake_core::Diagnostic;

/// The environment as templates see it (`env_var`).
pub type EnvLookup = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;
/// Where `log` and `exceptions.warn` go.
pub type LogSink = Arc<dyn Fn(&str) + Send + Sync>;

/// Everything [`Project::load`](crate::Project::load) needs beside the files.
#[derive(Clone)]
pub struct LoadOptions {
    /// The project folder, which holds dbt_project.yml.
    pub dir: PathBuf,
    /// The target of wardlake.yml; none takes the file's default.
    pub target: Option<String>,
    /// The lake, over whatever wardlake.yml says. Relative paths stand beside dbt_project.yml.
    pub lake: Option<String>,
    /// `--vars`.
    pub vars: Map<String, Json>,
    /// The environment.
    pub env: EnvLookup,
    /// Over wardlake.yml's `threads`.
    pub threads: Option<usize>,
    /// `--full-refresh`.
    pub full_refresh: bool,
    /// The command (`build`, `run`, …): `flags.WHICH`.
    pub which: String,
    /// `invocation_id`.
    pub invocation_id: String,
    /// `run_started_at`.
    pub run_started_at: DateTime<Utc>,
    /// Where templates log to.
    pub log: LogSink,
}

impl LoadOptions {
    /// Options for `dir` with the process's environment, a fresh invocation id, and a silent log.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            target: None,
            lake: None,
            vars: Map::new(),
            env: Arc::new(|name| std::env::var(name).ok()),
            threads: None,
            full_refresh: false,
            which: "parse".to_owned(),
            invocation_id: uuid::Uuid::new_v4().to_string(),
            run_started_at: Utc::now(),
            log: Arc::new(|_| {}),
        }
    }
}

/// Reads `--vars`: a map in YAML or JSON.
pub fn parse_vars(text: &str) -> Result<Map<String, Json>, Diagnostic> {
    let file = std::path::Path::new("--vars");
    match crate::yaml::parse(file, text)? {
        None => Ok(Map::new()),
        Some(tree) if tree.is_map() => Ok(tree.to_map()),
        Some(tree) => Err(Diagnostic::error("WL-P002", format!("--vars must be a map, not {}", tree.kind()))
            .help("write it as --vars '{name: value}'")),
    }
}
