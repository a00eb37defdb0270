//! A node's configuration: the merged layers, read once into types.

pub(crate) mod merge;
mod read;
mod snapshot;
mod test;

use serde_json::{Map, Value as Json};

use crate::ResourceType;
use read::Reader;

pub use snapshot::{CheckCols, HardDeletes, SnapshotConfig, SnapshotMetaColumns};
pub use test::{TestConfig, TestSeverity};

/// A hook: SQL (with Jinja) that runs before or after its node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    /// The SQL as written, Jinja included.
    pub sql: String,
    /// dbt's `transaction` flag; the lake has no transactions across tables, so it is carried only.
    pub transaction: bool,
}

/// How the rows of a run join those that an incremental model has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IncrementalStrategy {
    /// They are added.
    Append,
    /// Each takes the place of the row with its key, or is added.
    Merge,
    /// All rows with their keys go, then they are added.
    DeleteInsert,
    /// The partitions that they have are replaced; without partitions, everything is.
    InsertOverwrite,
}

impl IncrementalStrategy {
    const ALL: [(&'static str, Self); 4] = [
        ("append", Self::Append),
        ("merge", Self::Merge),
        ("delete+insert", Self::DeleteInsert),
        ("insert_overwrite", Self::InsertOverwrite),
    ];

    /// Of an incremental model alone: a folder may say it of tables and views too, to which it is nothing.
    fn read(reader: &mut Reader<'_>, materialized: &str) -> Option<Self> {
        const KEY: &str = "incremental_strategy";
        let is_disabled = reader.value("enabled").and_then(crate::yaml::as_bool) == Some(false);
        if materialized != "incremental" || is_disabled {
            return None;
        }
        let text = match reader.value(KEY).and_then(Json::as_str) {
            Some("microbatch") => {
                let known = Self::ALL.map(|(name, _)| name).join(", ");
                let message = format!("config `{KEY}` must be one of {known}; `microbatch` is not supported");
                let help = "write `append` or `merge`, and read only what is new by `{{ changes(ref('…')) }}`";
                reader.problem(KEY, message, Some(help.to_owned()));
                return None;
            }
            _ => reader.one_of(KEY, &Self::ALL.map(|(name, _)| name))?,
        };
        Self::ALL.into_iter().find_map(|(name, strategy)| (name == text).then_some(strategy))
    }
}

/// Seeds only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeedConfig {
    /// One character between fields.
    pub delimiter: char,
    /// Column → SQL type, in the order written.
    pub column_types: Vec<(String, String)>,
    /// Whether column names keep their case.
    pub quote_columns: Option<bool>,
}

/// Everything `config()`, properties and dbt_project.yml say about a node.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeConfig {
    /// Whether the node is part of the project.
    pub enabled: bool,
    /// `view`, `table`, `incremental`, `ephemeral`, `seed`, `snapshot`, `test` or a custom materialization.
    pub materialized: String,
    /// Custom schema, before `generate_schema_name`.
    pub schema: Option<String>,
    /// Custom database; carried into the artifacts only.
    pub database: Option<String>,
    /// Custom alias, before `generate_alias_name`.
    pub alias: Option<String>,
    /// All tags, without repeats, in the order given.
    pub tags: Vec<String>,
    /// Free-form metadata.
    pub meta: Map<String, Json>,
    /// Columns that identify a row; empty means none.
    pub unique_key: Vec<String>,
    /// Incremental models only; none goes by whether there is a key.
    pub incremental_strategy: Option<IncrementalStrategy>,
    /// SQL conditions that narrow a merge.
    pub incremental_predicates: Vec<String>,
    /// `ignore`, `fail`, `append_new_columns`, `sync_all_columns`.
    pub on_schema_change: String,
    /// Columns a merge updates; none means all.
    pub merge_update_columns: Option<Vec<String>>,
    /// Columns a merge leaves alone.
    pub merge_exclude_columns: Option<Vec<String>>,
    /// Overrides `--full-refresh` either way.
    pub full_refresh: Option<bool>,
    /// Before the node.
    pub pre_hooks: Vec<Hook>,
    /// After the node.
    pub post_hooks: Vec<Hook>,
    /// Partition columns; the mapping form gives its `field`.
    pub partition_by: Vec<String>,
    /// Clustering columns.
    pub cluster_by: Vec<String>,
    /// The column that says when a row happened.
    pub event_time: Option<String>,
    /// What of the docs is written into the table: `relation`, `columns`.
    pub persist_docs: Map<String, Json>,
    /// Snapshots only; the default for everything else.
    pub snapshot: SnapshotConfig,
    /// Tests only; the default for everything else.
    pub test: TestConfig,
    /// Seeds only; the default for everything else.
    pub seed: SeedConfig,
    /// `meta.wardlake`: Wardlake's own settings.
    pub wardlake: Map<String, Json>,
    /// The merged layers as they are: what `config.get` and the artifacts see.
    pub raw: Map<String, Json>,
}

impl NodeConfig {
    /// Reads the merged layers. Values of a wrong type are reported and replaced by their default.
    pub(crate) fn read(raw: Map<String, Json>, kind: ResourceType) -> (Self, Vec<ConfigProblem>) {
        let mut reader = Reader::new(&raw);
        let default_materialized = match kind {
            ResourceType::Seed => "seed",
            ResourceType::Snapshot => "snapshot",
            ResourceType::Test => "test",
            _ => "view",
        };
        let meta = reader.map("meta");
        let materialized = reader.text("materialized").unwrap_or_else(|| default_materialized.to_owned());
        let config = Self {
            enabled: reader.bool("enabled").unwrap_or(true),
            incremental_strategy: IncrementalStrategy::read(&mut reader, &materialized),
            materialized,
            schema: reader.text("schema"),
            database: reader.text("database"),
            alias: reader.text("alias"),
            tags: reader.texts("tags").unwrap_or_default(),
            wardlake: meta.get("wardlake").and_then(Json::as_object).cloned().unwrap_or_default(),
            meta,
            unique_key: reader.texts("unique_key").unwrap_or_default(),
            incremental_predicates: reader
                .texts("incremental_predicates")
                .or_else(|| reader.texts("predicates"))
                .unwrap_or_default(),
            on_schema_change: reader
                .one_of("on_schema_change", &["ignore", "fail", "append_new_columns", "sync_all_columns"])
                .unwrap_or_else(|| "ignore".to_owned()),
            merge_update_columns: reader.texts("merge_update_columns"),
            merge_exclude_columns: reader.texts("merge_exclude_columns"),
            full_refresh: reader.bool("full_refresh"),
            pre_hooks: reader.hooks("pre_hook"),
            post_hooks: reader.hooks("post_hook"),
            partition_by: reader.columns("partition_by"),
            cluster_by: reader.columns("cluster_by"),
            event_time: reader.text("event_time"),
            persist_docs: reader.map("persist_docs"),
            snapshot: SnapshotConfig::read(&mut reader, kind),
            test: TestConfig::read(&mut reader),
            seed: SeedConfig {
                delimiter: reader.character("delimiter").unwrap_or(','),
                column_types: reader.pairs("column_types"),
                quote_columns: reader.bool("quote_columns"),
            },
            raw: Map::new(),
        };
        reader.unknown_keys();
        let problems = reader.finish();
        (Self { raw, ..config }, problems)
    }

    /// Any config value, known or not, as it was written.
    pub fn get(&self, key: &str) -> Option<&Json> {
        self.raw.get(merge::canonical(key))
    }

    /// Whether the node leaves nothing in the lake and lives inside the models that use it.
    pub fn is_ephemeral(&self) -> bool {
        self.materialized == "ephemeral"
    }
}

impl Default for NodeConfig {
    fn default() -> Self {
        Self::read(Map::new(), ResourceType::Model).0
    }
}

/// A config value that cannot be right, or a key that is probably a slip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ConfigProblem {
    pub(crate) key: String,
    pub(crate) message: String,
    pub(crate) help: Option<String>,
    pub(crate) is_error: bool,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(value: Json, kind: ResourceType) -> (NodeConfig, Vec<ConfigProblem>) {
        NodeConfig::read(value.as_object().cloned().unwrap_or_default(), kind)
    }

    #[test]
    fn one_text_and_a_list_read_alike() {
        for value in [json!({"unique_key": "a"}), json!({"unique_key": ["a"]})] {
            assert_eq!(read(value, ResourceType::Model).0.unique_key, ["a"]);
        }
        let (config, problems) =
            read(json!({"partition_by": {"field": "day", "data_type": "date"}}), ResourceType::Model);
        assert_eq!((config.partition_by, problems), (vec!["day".to_owned()], vec![]));
    }

    #[test]
    fn wrong_types_and_slips_are_reported() {
        let (config, problems) = read(json!({"enabled": "perhaps", "materialised": "table"}), ResourceType::Model);
        assert!(config.enabled);
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert!(problems[0].is_error && !problems[1].is_error);
        assert_eq!(problems[1].help.as_deref(), Some("did you mean `materialized`?"));
    }

    #[test]
    fn strategies_nobody_knows_are_reported() {
        let of = |materialized: &str, strategy: &str| {
            let (config, problems) =
                read(json!({"materialized": materialized, "incremental_strategy": strategy}), ResourceType::Model);
            (config.incremental_strategy, problems.len())
        };
        assert_eq!(of("incremental", "delete+insert"), (Some(IncrementalStrategy::DeleteInsert), 0));
        assert_eq!(of("incremental", "microbatch"), (None, 1));
        assert_eq!(of("incremental", "mergee"), (None, 1));
        assert_eq!(of("table", "microbatch"), (None, 0), "it does nothing there");
        let snapshot = json!({"strategy": "hourly", "unique_key": "k"});
        assert_eq!(read(snapshot, ResourceType::Snapshot).1.len(), 1);
    }

    #[test]
    fn snapshots_and_tests_read_their_own_keys() {
        let (config, problems) = read(
            json!({"strategy": "check", "check_cols": ["a"], "hard_deletes": "new_record", "unique_key": ["k"],
                   "snapshot_meta_column_names": {"dbt_valid_from": "from_ts"}}),
            ResourceType::Snapshot,
        );
        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!(config.snapshot.hard_deletes, HardDeletes::NewRecord);
        assert_eq!(config.snapshot.columns.valid_from, "from_ts");
        assert_eq!(config.snapshot.columns.valid_to, "dbt_valid_to");
        let (config, _) = read(json!({"severity": "warn", "warn_if": ">10"}), ResourceType::Test);
        assert_eq!((config.test.severity, config.test.warn_if.as_str()), (TestSeverity::Warn, ">10"));
    }
}
