//! The nouns of a project: nodes, sources, exposures, docs.

use std::{collections::BTreeMap, fmt, path::PathBuf};

use serde_json::{Map, Value as Json};
use wardlake_core::Location;

use crate::{
    NodeConfig, Relation,
    audit::{Audit, Identity, Kpi},
    jinja::{RefCall, SourceCall},
};

/// `<type>.<package>.<name>`, unique within a project; generic tests end in a hash of their arguments.
pub type UniqueId = String;

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResourceType {
    /// A query that becomes a view, a table, or a CTE of others.
    Model,
    /// A CSV file of the project that becomes a table.
    Seed,
    /// A query whose rows are kept in versions.
    Snapshot,
    /// A query that returns what is wrong.
    Test,
    /// A query that is compiled only.
    Analysis,
    /// A hook of the whole run.
    Operation,
    /// A table that is loaded, not built.
    Source,
    /// Someone who uses the results.
    Exposure,
}

impl ResourceType {
    /// dbt's word for it, which is also the first part of a unique id.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Seed => "seed",
            Self::Snapshot => "snapshot",
            Self::Test => "test",
            Self::Analysis => "analysis",
            Self::Operation => "operation",
            Self::Source => "source",
            Self::Exposure => "exposure",
        }
    }

    /// Whether `ref` finds it.
    pub fn is_refable(self) -> bool {
        matches!(self, Self::Model | Self::Seed | Self::Snapshot)
    }
}

impl fmt::Display for ResourceType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for ResourceType {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const ALL: [ResourceType; 8] = [
            ResourceType::Model,
            ResourceType::Seed,
            ResourceType::Snapshot,
            ResourceType::Test,
            ResourceType::Analysis,
            ResourceType::Operation,
            ResourceType::Source,
            ResourceType::Exposure,
        ];
        ALL.into_iter().find(|t| t.as_str() == text).ok_or_else(|| {
            let names: Vec<&str> = ALL.iter().map(|t| t.as_str()).collect();
            format!("`{text}` is not a resource type; they are {}", names.join(", "))
        })
    }
}

/// A column as the properties describe it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ColumnInfo {
    /// Its name.
    pub name: String,
    /// Its description, docs resolved.
    pub description: String,
    /// Its SQL type, if it is written down.
    pub data_type: Option<String>,
    /// Free-form metadata (`meta` and `config.meta`).
    pub meta: Map<String, Json>,
    /// Its tags, which its tests inherit.
    pub tags: Vec<String>,
    /// Whether its name is quoted.
    pub quote: Option<bool>,
    /// `constraints`, as written.
    pub constraints: Vec<Json>,
}

/// What a node is made from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DependsOn {
    /// Unique ids of nodes and sources, in the order of their first use.
    pub nodes: Vec<UniqueId>,
    /// Unique ids of macros.
    pub macros: Vec<String>,
}

/// A generic test: which macro, with what.
#[derive(Clone, Debug, PartialEq)]
pub struct TestMetadata {
    /// The test (`not_null`), without `test_`.
    pub name: String,
    /// The package it was asked from (`dbt_utils.expression_is_true`).
    pub namespace: Option<String>,
    /// Its arguments as written, `model` and `column_name` included.
    pub kwargs: Map<String, Json>,
    /// The tested column, if it tests one.
    pub column_name: Option<String>,
    /// The tested node; none for sources.
    pub attached_node: Option<UniqueId>,
    /// `<yaml key>.<name>` of the block it stands in.
    pub file_key_name: String,
}

/// One node of the graph.
#[derive(Clone, Debug)]
pub struct Node {
    /// Unique id.
    pub unique_id: UniqueId,
    /// What it is.
    pub resource_type: ResourceType,
    /// Its name, which `ref` uses.
    pub name: String,
    /// Its name in the lake.
    pub alias: String,
    /// Its package.
    pub package: String,
    /// Path below its kind's folder (`staging/stg_x.sql`).
    pub path: String,
    /// Path below its package's folder (`models/staging/stg_x.sql`).
    pub original_file_path: String,
    /// The whole path.
    pub file: PathBuf,
    /// The code as written; empty for seeds.
    pub raw_code: String,
    /// The schema `generate_schema_name` gave it, also where its relation has none.
    pub schema: String,
    /// Where it stands in the lake. An ephemeral model's relation is its CTE; a test's is the table of its failures.
    pub relation: Relation,
    /// Package, folders and name: what folder configs and `fqn:` go by.
    pub fqn: Vec<String>,
    /// Tags.
    pub tags: Vec<String>,
    /// Metadata.
    pub meta: Map<String, Json>,
    /// Its configuration.
    pub config: NodeConfig,
    /// What it declares about its rows, if anything.
    pub audit: Option<Box<Audit>>,
    /// The figures whose bounds are worked out, if it declares any.
    pub kpi: Option<Kpi>,
    /// How it is decided which of its rows are one person, if it declares so.
    pub identity: Option<Box<Identity>>,
    /// The view whose rows are left when its table is trimmed (`trimmed_to`), if it says so.
    pub trimmed_to: Option<UniqueId>,
    /// Described columns in the order written.
    pub columns: Vec<ColumnInfo>,
    /// Its description, docs resolved.
    pub description: String,
    /// What it is made from.
    pub depends_on: DependsOn,
    /// `ref` calls in order, each once.
    pub refs: Vec<RefCall>,
    /// `source` calls in order, each once.
    pub sources: Vec<SourceCall>,
    /// Generic tests only.
    pub test: Option<TestMetadata>,
    /// Where it is written, relative to the project folder.
    pub location: Location,
    /// `<package>://<path>` of the properties file that describes it.
    pub patch_path: Option<String>,
    /// SHA-256 of its code or file, in hex.
    pub checksum: String,
    /// Operations only: its place among the hooks of its kind.
    pub index: Option<usize>,
    /// Line of the file on which [`raw_code`](Self::raw_code) starts.
    pub first_line: usize,
    /// What is rendered, where that is not the raw code: a generic test's call.
    pub(crate) template: Option<String>,
    /// Whether `depends_on` may change between passes; pure SQL needs no template at all.
    pub(crate) has_jinja: bool,
}

impl Node {
    /// Whether it is a test whose failing rows are kept, in its relation.
    pub fn keeps_failures(&self) -> bool {
        let test = &self.config.test;
        self.resource_type == ResourceType::Test
            && test.store_failures.unwrap_or(test.store_failures_as.is_some())
            && test.store_failures_as.as_deref() != Some("ephemeral")
    }
}

/// `warn_after` or `error_after`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FreshnessLimit {
    /// How many periods.
    pub count: u64,
    /// `minute`, `hour` or `day`.
    pub period: String,
}

/// How old a source's newest row may be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Freshness {
    /// Beyond this, a warning.
    pub warn_after: Option<FreshnessLimit>,
    /// Beyond this, an error.
    pub error_after: Option<FreshnessLimit>,
    /// SQL condition on the rows looked at.
    pub filter: Option<String>,
}

/// One table of a source.
#[derive(Clone, Debug)]
pub struct Source {
    /// `source.<package>.<source>.<table>`.
    pub unique_id: UniqueId,
    /// The source.
    pub source_name: String,
    /// The table's name, which `source` uses.
    pub name: String,
    /// The table's name in the lake.
    pub identifier: String,
    /// Its package.
    pub package: String,
    /// Where it stands in the lake.
    pub relation: Relation,
    /// The `database:` of the source, for the artifacts.
    pub database: Option<String>,
    /// Who loads it.
    pub loader: String,
    /// The table's description.
    pub description: String,
    /// The source's description.
    pub source_description: String,
    /// The column or expression that says when a row was loaded.
    pub loaded_at_field: Option<String>,
    /// How fresh it must be.
    pub freshness: Option<Freshness>,
    /// Package, folders, source, table.
    pub fqn: Vec<String>,
    /// Tags.
    pub tags: Vec<String>,
    /// Metadata of the table over that of the source.
    pub meta: Map<String, Json>,
    /// Metadata of the source alone.
    pub source_meta: Map<String, Json>,
    /// `meta.wardlake` of the table laid over that of the source, key by key: connector, format, files, keys, …
    pub wardlake: Map<String, Json>,
    /// Where each setting of `wardlake` is written, by its dotted path (`format.delimiter`), as far as properties hold it.
    pub settings: BTreeMap<String, Location>,
    /// Merged config.
    pub config: Map<String, Json>,
    /// Described columns.
    pub columns: Vec<ColumnInfo>,
    /// The same as [`original_file_path`](Self::original_file_path), as dbt has it for sources.
    pub path: String,
    /// Path below its package's folder.
    pub original_file_path: String,
    /// Where the table is written, relative to the project folder.
    pub location: Location,
}

/// A dashboard, notebook, application … that uses the results.
#[derive(Clone, Debug)]
pub struct Exposure {
    /// `exposure.<package>.<name>`.
    pub unique_id: UniqueId,
    /// Its name.
    pub name: String,
    /// Its package.
    pub package: String,
    /// `dashboard`, `notebook`, `analysis`, `ml`, `application`.
    pub exposure_type: String,
    /// `owner`, as written.
    pub owner: Map<String, Json>,
    /// What people call it.
    pub label: Option<String>,
    /// `low`, `medium`, `high`.
    pub maturity: Option<String>,
    /// Where it is.
    pub url: Option<String>,
    /// Its description.
    pub description: String,
    /// Tags.
    pub tags: Vec<String>,
    /// Metadata.
    pub meta: Map<String, Json>,
    /// Merged config.
    pub config: Map<String, Json>,
    /// Package, folders, name.
    pub fqn: Vec<String>,
    /// What it uses.
    pub depends_on: DependsOn,
    /// `ref` calls.
    pub refs: Vec<RefCall>,
    /// `source` calls.
    pub sources: Vec<SourceCall>,
    /// Path below its kind's folder.
    pub path: String,
    /// Path below its package's folder.
    pub original_file_path: String,
    /// Where it is written.
    pub location: Location,
}

/// A `{% docs %}` block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doc {
    /// `doc.<package>.<name>`.
    pub unique_id: UniqueId,
    /// Its package.
    pub package: String,
    /// Its name.
    pub name: String,
    /// Path below its kind's folder.
    pub path: String,
    /// Path below its package's folder.
    pub original_file_path: String,
    /// What it says.
    pub contents: String,
}

/// What the properties say about a macro.
#[derive(Clone, Debug, Default)]
pub struct MacroPatch {
    /// Its description.
    pub description: String,
    /// `arguments`, as written.
    pub arguments: Vec<Json>,
    /// Metadata.
    pub meta: Map<String, Json>,
    /// `<package>://<path>` of the properties file.
    pub patch_path: String,
}
