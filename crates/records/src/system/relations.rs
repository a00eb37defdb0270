//! Every relation of the schema `system` with its columns: what a lake that has no row of one yet shows of it is an empty one. What is
//! written down is put together where it is known; tests hold its columns to these.

use std::{collections::BTreeMap, sync::Arc};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use wardlake_core::TableName;

use super::table::SCHEMA;
use crate::error::RecordsError;

/// What a column holds.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    Count,
    Number,
    Flag,
    Instant,
    Bytes,
}

use Kind::{Bytes, Count, Flag, Instant, Number, Text};

impl Kind {
    fn data_type(self) -> DataType {
        match self {
            Text => DataType::Utf8,
            Count => DataType::Int64,
            Number => DataType::Float64,
            Flag => DataType::Boolean,
            Instant => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Bytes => DataType::Binary,
        }
    }
}

type Relation = (&'static str, &'static [(Kind, &'static [&'static str])]);

/// By name: columns in order, those of a kind that follow one another together.
const RELATIONS: [Relation; 15] = [
    (
        "accounting",
        &[
            (Text, &["run_id", "model", "relation", "input"]),
            (Count, &["rows_in", "rows_out", "rows_quarantined", "rows_duplicate", "rows_filtered", "rows_open"]),
            (Flag, &["is_balanced"]),
            (Instant, &["finished_at"]),
        ],
    ),
    (
        "alerts",
        &[(Text, &["alert", "severity", "state", "key", "value", "message"]), (Instant, &["since_at", "told_at"])],
    ),
    (
        "anomalies",
        &[
            (Text, &["run_id", "relation", "column_name", "metric"]),
            (Number, &["value", "expected", "low", "high", "score"]),
            (Text, &["message"]),
            (Instant, &["found_at"]),
        ],
    ),
    (
        "damage",
        &[
            (Text, &["_source", "_file", "kind"]),
            (Count, &["byte_offset", "length", "first_row", "end_row"]),
            (Flag, &["is_in_bronze"]),
            (Instant, &["found_at"]),
        ],
    ),
    (
        "identity_decisions",
        &[
            (Text, &["decision_id"]),
            (Instant, &["at"]),
            (Text, &["actor", "decision", "patient_id_a", "patient_id_b", "reason"]),
        ],
    ),
    (
        "kpi_bounds",
        &[
            (Text, &["run_id"]),
            (Count, &["epoch"]),
            (Text, &["kpi", "row_key", "figure"]),
            (Number, &["value", "value_with", "low", "high"]),
            (Count, &["open_rows"]),
            (Instant, &["fresh_at", "computed_at"]),
        ],
    ),
    (
        "load_log",
        &[
            (Text, &["run_id", "source", "file", "batch_id"]),
            (Count, &["sequence"]),
            (Text, &["sha256"]),
            (Count, &["bytes", "modified_us", "rows_before", "rows_read", "rows_inserted", "rows_updated"]),
            (Count, &["rows_deleted", "rows_unchanged", "rows_repeated", "rows_rejected"]),
            (Text, &["order_key"]),
            (Flag, &["is_late"]),
            (Text, &["drift", "columns", "column_types"]),
            (Count, &["duration_ms"]),
            (Instant, &["loaded_at"]),
        ],
    ),
    (
        "profiles",
        &[
            (Text, &["run_id", "relation"]),
            (Count, &["version"]),
            (Text, &["column_name", "kind"]),
            (Count, &["row_count", "null_count", "distinct_count"]),
            (Number, &["min_number", "max_number", "mean_number"]),
            (Instant, &["profiled_at"]),
            (Count, &["weekday"]),
            (Text, &["data_date"]),
        ],
    ),
    (
        "quarantine_actions",
        &[
            (Text, &["action_id"]),
            (Instant, &["at"]),
            (Text, &["actor", "action", "model", "quarantine_id", "column_name", "old_value", "new_value", "comment"]),
        ],
    ),
    (
        "rejected_rows",
        &[
            (Text, &["_source", "_file"]),
            (Count, &["_position", "byte_offset"]),
            (Text, &["reason", "message"]),
            (Bytes, &["bytes"]),
            (Count, &["length"]),
            (Text, &["sha256"]),
            (Instant, &["_received_at"]),
        ],
    ),
    (
        "repeated_rows",
        &[(Text, &["run_id", "_source", "_file"]), (Instant, &["_received_at"]), (Count, &["_position"])],
    ),
    (
        "replays",
        &[
            (Text, &["_source", "_file"]),
            (Count, &["_position"]),
            (Flag, &["is_loaded"]),
            (Text, &["reason", "message", "run_id"]),
            (Instant, &["tried_at"]),
        ],
    ),
    (
        "rule_results",
        &[
            (Text, &["run_id", "model", "relation", "rule", "kind", "action", "severity", "reason"]),
            (Count, &["rows_checked", "rows_broken"]),
            (Text, &["threshold", "status"]),
            (Instant, &["finished_at"]),
        ],
    ),
    (
        "run_nodes",
        &[
            (Text, &["run_id", "unique_id", "resource_type", "relation", "status", "message"]),
            (Count, &["row_count", "failures", "version", "bytes"]),
            (Instant, &["started_at", "finished_at"]),
            (Number, &["duration_s"]),
        ],
    ),
    (
        "runs",
        &[
            (Text, &["run_id", "command", "status"]),
            (Instant, &["started_at", "finished_at"]),
            (Number, &["duration_s"]),
            (Count, &["nodes_pass", "nodes_warn", "nodes_error", "nodes_skip", "epoch"]),
        ],
    ),
];

/// Every relation of the schema `system` and its columns.
pub fn relations() -> Result<BTreeMap<TableName, SchemaRef>, RecordsError> {
    RELATIONS.iter().map(|(name, kinds)| Ok((TableName::new(SCHEMA, *name)?, schema(kinds)))).collect()
}

fn schema(kinds: &[(Kind, &[&str])]) -> SchemaRef {
    let fields =
        kinds.iter().flat_map(|(kind, names)| names.iter().map(|name| Field::new(*name, kind.data_type(), true)));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

#[cfg(test)]
mod tests {
    use chrono::Utc;
    use wardlake_project::RETAINED;

    use super::*;
    use crate::system;

    #[test]
    fn what_is_written_has_the_columns_that_are_known() {
        let known = relations().unwrap();
        let now = Utc::now();
        for (table, batch) in [
            ("kpi_bounds", system::bound_rows("", 0, &[])),
            ("load_log", system::load_rows("", &[], now)),
            ("rejected_rows", system::rejected_rows("", &[])),
            ("repeated_rows", system::repeated_rows("", "", "", Vec::new(), now)),
        ] {
            assert_eq!(batch.unwrap().schema(), known[&TableName::new(SCHEMA, table).unwrap()], "{table}");
        }
        for (table, _) in RETAINED {
            assert!(known.contains_key(&TableName::new(SCHEMA, table).unwrap()), "{table}");
        }
    }
}
