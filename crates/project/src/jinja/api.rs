//! What a template is given and what comes back.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use serde_json::{Map, Value as Json};

use crate::{Adapter, EnvLookup, LogSink, Relation};

/// dbt's two passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// `execute` is false: calls are captured, refs render as a placeholder, the warehouse is not asked.
    Parse,
    /// `execute` is true: refs resolve, `run_query` runs.
    Execute,
}

/// What all templates of one invocation share.
pub struct Scope {
    /// `project_name`.
    pub project_name: String,
    /// `target` (name, schema, type = `wardlake`, database, threads, …).
    pub target: Json,
    /// `--vars`, which win over every project's `vars:`.
    pub cli_vars: Map<String, Json>,
    /// `vars:` of each package's dbt_project.yml by package name: globals merged with the package's own block.
    pub package_vars: BTreeMap<String, Map<String, Json>>,
    /// `env_var`: the environment as it was handed to the reader.
    pub env: EnvLookup,
    /// `invocation_id`.
    pub invocation_id: String,
    /// `run_started_at`, UTC.
    pub run_started_at: chrono::DateTime<chrono::Utc>,
    /// `flags` (FULL_REFRESH, STORE_FAILURES, WHICH, …).
    pub flags: Map<String, Json>,
    /// `graph` (nodes, sources, exposures) for the execute pass.
    pub graph: Json,
    /// Called by `{{ log(..., info=true) }}` and `exceptions.warn`.
    pub log: LogSink,
}

/// The node a template belongs to.
#[derive(Clone, Debug, Default)]
pub struct NodeScope {
    /// `model.unique_id`; empty in the first pass.
    pub unique_id: String,
    /// `model` as dbt's graph holds it (name, alias, schema, config, columns, tags, …).
    pub model: Json,
    /// `this`.
    pub this: Option<Relation>,
    /// What `config.get` sees.
    pub config: Map<String, Json>,
    /// Whether `is_incremental()` is true; `build` decides.
    pub is_incremental: bool,
}

/// How `ref` and `source` become relations in the execute pass. An `Err` is the message for the user.
pub trait Resolve: Send + Sync {
    /// The relation of `ref([package,] name, [v=])`.
    fn resolve_ref(&self, call: &RefCall) -> Result<Relation, String>;
    /// The relation of `source(source, table)`.
    fn resolve_source(&self, call: &SourceCall) -> Result<Relation, String>;
    /// The zone of local times in what `source(source, table)` receives, if its settings name one.
    fn time_zone(&self, _call: &SourceCall) -> Option<String> {
        None
    }
}

/// One `ref(...)`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct RefCall {
    /// Two-argument form: the package.
    pub package: Option<String>,
    /// The model, seed or snapshot.
    pub name: String,
    /// `v=` or `version=`.
    pub version: Option<String>,
    /// 1-based line of the call in its file.
    pub line: usize,
}

/// One `source(...)`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct SourceCall {
    /// The source.
    pub source: String,
    /// Its table.
    pub table: String,
    /// 1-based line of the call in its file.
    pub line: usize,
}

/// What a render called.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Captured {
    /// Every `ref`, in order, `-- depends_on:` comments included (they are templates too).
    pub refs: Vec<RefCall>,
    /// Every `source`, in order.
    pub sources: Vec<SourceCall>,
    /// `config(...)` keyword arguments and dicts, later calls over earlier ones.
    pub config: Map<String, Json>,
    /// Unique ids (`macro.<package>.<name>`) of the macros that were called.
    pub macros: Vec<String>,
    /// The relations of which an incremental model asked the `changes`, each once.
    pub changes: Vec<Changes>,
    /// The rows an incremental model looks up by key, each once.
    pub lookups: Vec<Lookup>,
}

/// One `changes(ref(...))`: the rows of a relation that the model has not consumed yet, under a name of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changes {
    /// The relation whose rows are consumed.
    pub of: Relation,
    /// The relation that the compiled SQL reads instead.
    pub read_as: Relation,
}

/// One `matching(ref(...), columns, keys)`: the rows of a relation that have one of some keys, under a name of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lookup {
    /// The relation whose rows are looked up.
    pub of: Relation,
    /// The columns that are the key.
    pub columns: Vec<String>,
    /// The query of the keys, with as many columns.
    pub keys: String,
    /// The relation that the compiled SQL reads instead.
    pub read_as: Relation,
}

/// The schema of the names under which models read changes. No table of a lake lies in it.
pub const CHANGES_SCHEMA: &str = "changes";
/// The schema of the names under which models read what they look up. No table of a lake lies in it.
pub const MATCHING_SCHEMA: &str = "matching";

/// A macro a package defines.
#[derive(Clone, Debug)]
pub struct MacroDef {
    /// `macro.<package>.<name>`; tests are `test_<name>`.
    pub unique_id: String,
    /// Its package.
    pub package: String,
    /// Its name.
    pub name: String,
    /// Its file, relative to the project folder.
    pub path: PathBuf,
    /// 1-based line of its `{% macro %}`.
    pub line: usize,
    /// The tag's and body's text, as written.
    pub code: String,
    /// Argument names in order.
    pub arguments: Vec<String>,
}

/// One render.
pub struct RenderRequest<'a> {
    /// Package whose macros and vars are looked up first.
    pub package: &'a str,
    /// File of the template, for messages, relative to the project folder.
    pub path: &'a std::path::Path,
    /// Line of the file on which `text` starts (1 for whole files).
    pub first_line: usize,
    /// The template.
    pub text: &'a str,
    /// Which pass.
    pub mode: Mode,
    /// The invocation. Shared, since the values a template holds may outlive any borrow.
    pub scope: &'a Arc<Scope>,
    /// The node, for models, snapshots, tests and hooks.
    pub node: Option<&'a NodeScope>,
    /// Refs and sources; not called in [`Mode::Parse`].
    pub resolve: Option<&'a Arc<dyn Resolve>>,
    /// The warehouse; not called in [`Mode::Parse`].
    pub adapter: Option<&'a Arc<dyn Adapter>>,
    /// More variables (a generic test's arguments, for example).
    pub context: Map<String, Json>,
}

/// A render's result.
#[derive(Clone, Debug)]
pub struct Rendered {
    /// The text.
    pub text: String,
    /// What it called.
    pub captured: Captured,
}

/// A failed render is a diagnostic with place and macro trace.
pub type RenderError = wardlake_core::Diagnostic;
