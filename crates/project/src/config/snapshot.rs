//! Snapshot settings.

use serde_json::Value as Json;

use super::read::Reader;
use crate::ResourceType;

/// What a `check` snapshot compares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckCols {
    /// Every column of the query.
    All,
    /// These columns.
    Columns(Vec<String>),
}

/// What happens to rows that are gone from the query.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HardDeletes {
    /// Their last version stays current.
    #[default]
    Ignore,
    /// Their last version ends.
    Invalidate,
    /// Their last version ends and a version that says "deleted" begins.
    NewRecord,
}

/// Names of the columns a snapshot adds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotMetaColumns {
    /// `dbt_valid_from`.
    pub valid_from: String,
    /// `dbt_valid_to`.
    pub valid_to: String,
    /// `dbt_scd_id`.
    pub scd_id: String,
    /// `dbt_updated_at`.
    pub updated_at: String,
    /// `dbt_is_deleted`, with [`HardDeletes::NewRecord`] only.
    pub is_deleted: String,
}

/// What a snapshot needs beyond [`unique_key`](super::NodeConfig::unique_key).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotConfig {
    /// `timestamp` or `check`; empty for nodes that are no snapshots.
    pub strategy: String,
    /// `timestamp`: the column or expression that grows with every change.
    pub updated_at: Option<String>,
    /// `check`: what is compared.
    pub check_cols: Option<CheckCols>,
    /// Rows that vanish; `invalidate_hard_deletes: true` reads as [`HardDeletes::Invalidate`].
    pub hard_deletes: HardDeletes,
    /// SQL for the end of the current version instead of NULL.
    pub dbt_valid_to_current: Option<String>,
    /// Names of the added columns.
    pub columns: SnapshotMetaColumns,
    /// Schema, verbatim, instead of the generated one.
    pub target_schema: Option<String>,
}

impl SnapshotConfig {
    pub(super) fn read(reader: &mut Reader<'_>, kind: ResourceType) -> Self {
        let is_snapshot = kind == ResourceType::Snapshot;
        let names = reader.map("snapshot_meta_column_names");
        let name = |key: &str| names.get(key).and_then(Json::as_str).unwrap_or(key).to_owned();
        let columns = SnapshotMetaColumns {
            valid_from: name("dbt_valid_from"),
            valid_to: name("dbt_valid_to"),
            scd_id: name("dbt_scd_id"),
            updated_at: name("dbt_updated_at"),
            is_deleted: name("dbt_is_deleted"),
        };
        let check_cols = reader.texts("check_cols").map(|columns| match columns.as_slice() {
            [one] if one == "all" => CheckCols::All,
            _ => CheckCols::Columns(columns),
        });
        let hard_deletes = match reader.one_of("hard_deletes", &["ignore", "invalidate", "new_record"]).as_deref() {
            Some("invalidate") => HardDeletes::Invalidate,
            Some("new_record") => HardDeletes::NewRecord,
            Some(_) => HardDeletes::Ignore,
            None if reader.bool("invalidate_hard_deletes") == Some(true) => HardDeletes::Invalidate,
            None => HardDeletes::Ignore,
        };
        let config = Self {
            strategy: if is_snapshot { reader.text("strategy").unwrap_or_default() } else { String::new() },
            updated_at: if is_snapshot { reader.text("updated_at") } else { None },
            check_cols,
            hard_deletes,
            dbt_valid_to_current: reader.text("dbt_valid_to_current"),
            columns,
            target_schema: reader.text("target_schema"),
        };
        if is_snapshot && reader.value("enabled").and_then(crate::yaml::as_bool) != Some(false) {
            config.check(reader);
        }
        config
    }

    fn check(&self, reader: &mut Reader<'_>) {
        if reader.value("unique_key").is_none() {
            reader.problem("unique_key", "a snapshot needs a `unique_key`".to_owned(), None);
        }
        match self.strategy.as_str() {
            "" => {
                let help = Some(
                    "set `strategy: timestamp` with `updated_at`, or `strategy: check` with `check_cols`".to_owned(),
                );
                reader.problem("strategy", "a snapshot needs a `strategy`".to_owned(), help);
            }
            "timestamp" if self.updated_at.is_none() => {
                reader.problem("updated_at", "a snapshot of strategy `timestamp` needs `updated_at`".to_owned(), None);
            }
            "check" if self.check_cols.is_none() => {
                let help = Some("set it to `all` or to a list of columns".to_owned());
                reader.problem("check_cols", "a snapshot of strategy `check` needs `check_cols`".to_owned(), help);
            }
            "timestamp" | "check" => {}
            other => {
                let message = format!("config `strategy` must be one of timestamp, check, not `{other}`");
                reader.problem("strategy", message, None);
            }
        }
    }
}
