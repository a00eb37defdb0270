//! Reads a project folder in dbt's layout into a validated graph: sources, seeds, models, snapshots, tests, exposures.
//! Pure: it reads files, and asks the warehouse only through [`Adapter`], which whoever compiles hands in.
//!
//! [`Project::load`] reads and checks everything at once; [`Project::select`] chooses nodes; [`Project::compile`] turns
//! one into SQL; [`Manifest`] and [`RunResults`] are the artifacts.

mod adapter;
mod alerts;
mod artifacts;
pub mod audit;
mod compile;
mod config;
mod cte;
mod docs;
mod files;
mod generic_test;
mod graph;
pub mod jinja;
mod keeping;
mod load;
mod lookup;
mod naming;
mod node;
mod node_json;
mod options;
mod package;
mod project;
mod properties;
mod relation;
mod select;
mod target;
mod templates;
mod yaml;

pub use adapter::{Adapter, AdapterError, Cell, Column, QueryResult};
pub use alerts::{AlertClock, AlertRule, AlertRules, AlertSeverity, parse_duration};
pub use artifacts::{Manifest, Metadata, RunResult, RunResults, RunStatus, Timing};
pub use compile::Compiled;
pub use config::{
    CheckCols, HardDeletes, Hook, IncrementalStrategy, NodeConfig, SeedConfig, SnapshotConfig, SnapshotMetaColumns,
    TestConfig, TestSeverity,
};
pub use cte::InjectedCte;
pub use graph::Graph;
pub use jinja::{CHANGES_SCHEMA, Changes, Lookup};
pub use keeping::{FOR_EVER, Keeping, RETAINED};
pub use node::{
    ColumnInfo, DependsOn, Doc, Exposure, Freshness, FreshnessLimit, MacroPatch, Node, ResourceType, Source,
    TestMetadata, UniqueId,
};
pub use options::{EnvLookup, LoadOptions, LogSink, parse_vars};
pub use package::Package;
pub use project::Project;
pub use relation::{Relation, RelationKind};
pub use target::{DATABASE, DEFAULT_THREADS, Target};
