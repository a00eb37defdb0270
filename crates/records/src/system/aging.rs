//! Which of the lake's own tables forget, and by which of their instants.
//!
//! - What says which inputs were loaded (`load_log`, `replays`), and what people decided (`identity_decisions`, `quarantine_actions`),
//!   stays.
//! - `quarantine.<model>` stays: its rows wait for a decision, hold one, or say since when they are withheld no more, and runs and people
//!   write the table as a whole.
//! - `audit.<model>` stays: it holds the findings of the newest run, or as many as an incremental model has rows to find them in.

use wardlake_project::Keeping;

/// The column by which rows of a table of the schema `system` grow old; none for tables whose rows stay.
fn aged_by(table: &str) -> Option<&'static str> {
    Some(match table {
        "accounting" | "rule_results" | "run_nodes" | "runs" => "finished_at",
        "alerts" => "told_at",
        "anomalies" | "damage" => "found_at",
        "kpi_bounds" => "computed_at",
        "profiles" => "profiled_at",
        "rejected_rows" | "repeated_rows" => "_received_at",
        _ => return None,
    })
}

/// By which column rows of the table grow old, and after how many days they go, if they do.
pub fn retention(keeping: &Keeping, table: &str) -> Option<(&'static str, u32)> {
    aged_by(table).zip(keeping.days(table))
}

#[cfg(test)]
mod tests {
    use wardlake_core::lineage;
    use wardlake_project::RETAINED;

    use super::*;

    #[test]
    fn what_has_a_retention_has_a_clock() {
        for (table, days) in RETAINED {
            assert_eq!(retention(&Keeping::default(), table).map(|(_, days)| days), Some(days), "{table}");
        }
        for table in ["load_log", "replays", "identity_decisions", "quarantine_actions"] {
            assert_eq!(retention(&Keeping::default(), table), None, "{table}");
        }
        assert_eq!(aged_by("rejected_rows"), Some(lineage::RECEIVED_AT));
    }
}
