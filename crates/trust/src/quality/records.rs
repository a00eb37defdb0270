//! What the report reads: the lake's own tables, row by row, up to one instant.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use wardlake_core::TableName;
use wardlake_engine::Session;
use wardlake_records::{ColumnDrift, RecordsError, rows, rows_of};
use wardlake_storage::Lake;

use super::report::{Missing, RunRecord};
use crate::{error::TrustError, profile::anomaly::PastProfile};

/// Quarantined rows and findings per table that are read as examples.
const EXAMPLES: usize = 400;
/// Earlier profiles of a figure that are pictured.
const PICTURED: usize = 30;

/// A row of `system.rule_results`.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct RuleResult {
    pub(crate) run_id: String,
    pub(crate) model: String,
    pub(crate) rule: String,
    pub(crate) kind: Option<String>,
    pub(crate) action: Option<String>,
    pub(crate) severity: Option<String>,
    pub(crate) reason: Option<String>,
    pub(crate) rows_checked: Option<u64>,
    pub(crate) rows_broken: Option<u64>,
    pub(crate) threshold: Option<String>,
    pub(crate) status: Option<String>,
    pub(crate) finished_at: DateTime<Utc>,
}

/// A row of `system.accounting`.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct AccountingRow {
    pub(crate) model: String,
    pub(crate) relation: String,
    pub(crate) input: String,
    pub(crate) rows_in: u64,
    pub(crate) rows_out: u64,
    pub(crate) rows_quarantined: u64,
    pub(crate) rows_duplicate: u64,
    pub(crate) rows_filtered: u64,
    pub(crate) is_balanced: bool,
    pub(crate) finished_at: DateTime<Utc>,
}

/// One state of one quarantine table.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct QuarantineState {
    pub(crate) state: String,
    pub(crate) row_count: u64,
    pub(crate) oldest: Option<DateTime<Utc>>,
}

/// A quarantined row.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct QuarantinedRow {
    pub(crate) quarantine_id: Option<String>,
    #[serde(default)]
    pub(crate) rules: Vec<String>,
    pub(crate) source: Option<String>,
    pub(crate) source_file: Option<String>,
    pub(crate) source_position: Option<u64>,
    pub(crate) raw: Option<String>,
}

/// Rows that a rule withholds.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct RuleRows {
    pub(crate) rule: String,
    pub(crate) row_count: u64,
}

/// A quarantine table.
#[derive(Clone, Debug, Default)]
pub(crate) struct Quarantine {
    pub(crate) model: String,
    pub(crate) states: Vec<QuarantineState>,
    pub(crate) rules: Vec<RuleRows>,
    pub(crate) rows: Vec<QuarantinedRow>,
}

/// Findings of one audit table, counted.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct FindingCount {
    pub(crate) rule: String,
    pub(crate) action: String,
    pub(crate) column_name: Option<String>,
    pub(crate) row_count: u64,
}

/// A finding.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct FindingRow {
    pub(crate) rule: String,
    pub(crate) action: String,
    pub(crate) column_name: Option<String>,
    pub(crate) source: Option<String>,
    pub(crate) source_file: Option<String>,
    pub(crate) source_position: Option<u64>,
    pub(crate) raw_value: Option<String>,
    pub(crate) value: Option<String>,
}

/// An audit table.
#[derive(Clone, Debug, Default)]
pub(crate) struct Findings {
    pub(crate) model: String,
    pub(crate) counts: Vec<FindingCount>,
    pub(crate) rows: Vec<FindingRow>,
}

/// The loads of one source table.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct LoadSum {
    pub(crate) source: String,
    pub(crate) files: u64,
    pub(crate) rows_read: u64,
    pub(crate) rows_kept: u64,
    pub(crate) rows_unchanged: u64,
    pub(crate) rows_rejected: u64,
    pub(crate) last_loaded_at: DateTime<Utc>,
}

/// A file whose columns were not those known before.
#[derive(Clone, Debug)]
pub(crate) struct DriftedFile {
    pub(crate) run_id: String,
    pub(crate) source: String,
    pub(crate) file: String,
    pub(crate) loaded_at: DateTime<Utc>,
    pub(crate) drift: Vec<ColumnDrift>,
}

/// Rejected records by reason.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct RejectedCount {
    pub(crate) source: String,
    pub(crate) reason: String,
    pub(crate) row_count: u64,
}

/// A row of `system.anomalies`.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct AnomalyRow {
    pub(crate) run_id: String,
    pub(crate) relation: String,
    pub(crate) column_name: Option<String>,
    pub(crate) metric: String,
    pub(crate) value: f64,
    pub(crate) expected: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
    pub(crate) score: f64,
    pub(crate) message: String,
    pub(crate) found_at: DateTime<Utc>,
}

/// A profile with the run that made it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct ProfileRow {
    pub(crate) run_id: String,
    pub(crate) profiled_at: DateTime<Utc>,
    #[serde(flatten)]
    pub(crate) figures: PastProfile,
}

/// The newest result of one node.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct NodeRow {
    pub(crate) unique_id: String,
    pub(crate) resource_type: String,
    pub(crate) status: String,
    pub(crate) row_count: Option<u64>,
    pub(crate) failures: Option<u64>,
}

/// Everything the report is made from.
#[derive(Clone, Debug, Default)]
pub(crate) struct Records {
    pub(crate) run: Option<RunRecord>,
    pub(crate) rule_results: Vec<RuleResult>,
    pub(crate) accounting: Vec<AccountingRow>,
    pub(crate) quarantine: Vec<Quarantine>,
    pub(crate) findings: Vec<Findings>,
    pub(crate) loads: Vec<LoadSum>,
    pub(crate) newest_load_run: Option<String>,
    pub(crate) drift: Vec<DriftedFile>,
    pub(crate) rejected: Vec<RejectedCount>,
    pub(crate) profiles: Vec<ProfileRow>,
    pub(crate) columns: BTreeMap<String, u64>,
    pub(crate) anomalies: Vec<AnomalyRow>,
    pub(crate) nodes: Vec<NodeRow>,
    pub(crate) missing: Vec<Missing>,
}

/// Reads tables of one lake, and remembers which are not there.
struct Reader<'a> {
    lake: &'a Lake,
    session: &'a Session,
    /// `… <= timestamp '…'` for an older run.
    until: Option<DateTime<Utc>>,
    missing: Vec<Missing>,
}

impl Records {
    /// Reads everything that was known when `run` ended; the newest run if none is named.
    pub(crate) async fn read(lake: &Lake, session: &Session, run: Option<&str>) -> Result<Self, TrustError> {
        let mut reader = Reader { lake, session, until: None, missing: Vec::new() };
        let mut found = Self { run: reader.run(run).await?, ..Self::default() };
        reader.until = found.run.as_ref().filter(|_| run.is_some()).map(|run| run.finished_at);
        let until = reader.until;
        found.rule_results = reader.rule_results().await?;
        found.accounting = reader.accounting().await?;
        found.nodes = reader.nodes().await?;
        reader.loads(&mut found).await?;
        reader.profiles(&mut found).await?;
        let names = lake.table_names().await?;
        for name in names.iter().filter(|name| name.schema() == "quarantine") {
            found.quarantine.push(reader.quarantine(name).await?);
        }
        for name in names.iter().filter(|name| name.schema() == "audit") {
            found.findings.push(reader.findings(name).await?);
        }
        if found.quarantine.is_empty() {
            reader.miss("quarantine.*", "No row is or was withheld, or no model declares expectations.");
        } else if until.is_some() {
            reader.miss("quarantine.*", "What is withheld is shown as it is now, not as it was after that run.");
        }
        found.missing = reader.missing;
        Ok(found)
    }
}

impl Reader<'_> {
    fn miss(&mut self, table: &str, text: &str) {
        self.missing.push(Missing { table: table.to_owned(), text: text.to_owned() });
    }

    /// ` where <column> <= …` for an older run, else nothing.
    fn filter(&self, column: &str) -> String {
        match self.until {
            Some(at) => format!(" where {column} <= timestamptz '{}'", at.format("%Y-%m-%d %H:%M:%S%.6f+00:00")),
            None => String::new(),
        }
    }

    async fn table<T: serde::de::DeserializeOwned>(
        &mut self,
        table: &str,
        sql: &str,
        without: &str,
    ) -> Result<Vec<T>, TrustError> {
        match rows_of(self.lake, self.session, table, sql).await? {
            Some(rows) => Ok(rows),
            None => {
                if !without.is_empty() {
                    self.miss(table, without);
                }
                Ok(Vec::new())
            }
        }
    }

    async fn run(&mut self, run: Option<&str>) -> Result<Option<RunRecord>, TrustError> {
        let sql = "select run_id, command, status, finished_at, epoch from system.runs order by finished_at";
        let runs: Vec<RunRecord> = self.table("system.runs", sql, "Nothing has run in this lake yet.").await?;
        let Some(wanted) = run else {
            // A load says little about the tables, unless it went wrong.
            let newest = runs.last().filter(|run| run.status != "success");
            let built = newest.or_else(|| runs.iter().rfind(|run| run.command != "ingest")).or(runs.last());
            return Ok(built.cloned());
        };
        let found = runs.into_iter().rfind(|record| record.run_id.starts_with(wanted));
        found.map(Some).ok_or_else(|| TrustError::NoRun { wanted: wanted.to_owned() })
    }

    async fn rule_results(&mut self) -> Result<Vec<RuleResult>, TrustError> {
        let sql = format!(
            "select run_id, model, rule, kind, action, severity, reason, rows_checked, rows_broken, \
             cast(threshold as varchar) as threshold, status, finished_at \
             from system.rule_results{} order by finished_at",
            self.filter("finished_at")
        );
        let without = "No rule was checked: no model declares expectations, or none was built since it does.";
        self.table("system.rule_results", &sql, without).await
    }

    async fn accounting(&mut self) -> Result<Vec<AccountingRow>, TrustError> {
        let sql = format!(
            "select model, relation, input, rows_in, rows_out, rows_quarantined, rows_duplicate, rows_filtered, \
             is_balanced, finished_at from ( \
               select * from system.accounting{}) as account where input is not null order by finished_at",
            self.filter("finished_at")
        );
        let without = "Rows were not accounted for: no model names its input.";
        self.table("system.accounting", &sql, without).await
    }

    async fn nodes(&mut self) -> Result<Vec<NodeRow>, TrustError> {
        let sql = format!(
            "select unique_id, resource_type, status, row_count, failures from ( \
               select *, row_number() over (partition by unique_id order by finished_at desc) as age \
               from system.run_nodes{}) as newest \
             where age = 1 order by unique_id",
            self.filter("finished_at")
        );
        self.table("system.run_nodes", &sql, "").await
    }

    async fn loads(&mut self, found: &mut Records) -> Result<(), TrustError> {
        #[derive(Deserialize)]
        struct Drifted {
            run_id: String,
            source: String,
            file: String,
            loaded_at: DateTime<Utc>,
            drift: String,
        }
        #[derive(Deserialize)]
        struct Newest {
            run_id: String,
        }
        let filter = self.filter("loaded_at");
        let sql = format!(
            "select source, count(*) as files, sum(rows_read) as rows_read, \
             sum(rows_inserted + rows_updated + rows_deleted) as rows_kept, sum(rows_unchanged) as rows_unchanged, \
             sum(rows_rejected) as rows_rejected, max(loaded_at) as last_loaded_at \
             from system.load_log{filter} group by source order by source"
        );
        found.loads = self.table("system.load_log", &sql, "No file was loaded yet.").await?;
        let sql = format!("select run_id from system.load_log{filter} order by loaded_at desc limit 1");
        let newest: Vec<Newest> = self.table("system.load_log", &sql, "").await?;
        found.newest_load_run = newest.into_iter().next().map(|row| row.run_id);
        let sql = format!(
            "select run_id, source, file, loaded_at, drift from system.load_log{filter} {} drift <> '[]' \
             order by loaded_at, order_key",
            if filter.is_empty() { "where" } else { "and" }
        );
        let drifted: Vec<Drifted> = self.table("system.load_log", &sql, "").await?;
        for Drifted { run_id, source, file, loaded_at, drift } in drifted {
            let Ok(drift) = serde_json::from_str(&drift) else {
                return Err(RecordsError::Columns { table: "system.load_log".parse()? }.into());
            };
            found.drift.push(DriftedFile { drift, run_id, source, file, loaded_at });
        }
        let sql = format!(
            "select _source as source, reason, count(*) as row_count from system.rejected_rows{} \
             group by _source, reason order by row_count desc",
            self.filter("_received_at")
        );
        found.rejected = self.table("system.rejected_rows", &sql, "").await?;
        Ok(())
    }

    async fn profiles(&mut self, found: &mut Records) -> Result<(), TrustError> {
        #[derive(Deserialize)]
        struct Columns {
            relation: String,
            column_count: u64,
        }
        let until = self.filter("found_at");
        let sql = format!(
            "select run_id, relation, column_name, metric, value, expected, low, high, score, message, found_at \
             from system.anomalies{until} order by score desc"
        );
        found.anomalies = self.table("system.anomalies", &sql, "").await?;
        let until = self.filter("profiled_at");
        // Of columns, only the figures that are pictured beside an anomaly are read.
        let wanted = match self.lake.exists(&"system.anomalies".parse()?).await? {
            true => {
                "column_name is null or exists (select 1 from system.anomalies as a \
                     where a.relation = newest.relation and a.column_name = newest.column_name)"
            }
            false => "column_name is null",
        };
        let sql = format!(
            "select run_id, relation, column_name, weekday, row_count, null_count, distinct_count, min_number, \
             max_number, mean_number, profiled_at from ( \
               select *, row_number() over (partition by relation, column_name order by profiled_at desc) as age \
               from system.profiles{until}) as newest \
             where age <= {PICTURED} and ({wanted}) order by profiled_at"
        );
        let without = "No table was profiled yet; the next build that publishes does it.";
        found.profiles = self.table("system.profiles", &sql, without).await?;
        let sql = format!(
            "select relation, count(distinct column_name) as column_count from system.profiles{until} group by relation"
        );
        let columns: Vec<Columns> = self.table("system.profiles", &sql, "").await?;
        found.columns = columns.into_iter().map(|row| (row.relation, row.column_count)).collect();
        Ok(())
    }

    async fn quarantine(&self, name: &TableName) -> Result<Quarantine, TrustError> {
        let table = name.quoted();
        let states =
            format!("select state, count(*) as row_count, min(first_seen_at) as oldest from {table} group by state");
        let rules = format!(
            "select rule, count(*) as row_count from (select unnest(rules) as rule from {table} where state = 'open') \
             as broken group by rule order by row_count desc, rule"
        );
        let sample = format!(
            "select quarantine_id, rules, source, source_file, source_position, raw from {table} \
             where state = 'open' order by last_seen_at desc, source_file, source_position limit {EXAMPLES}"
        );
        Ok(Quarantine {
            model: name.name().to_owned(),
            states: rows(self.session, name, &states).await?,
            rules: rows(self.session, name, &rules).await?,
            rows: rows(self.session, name, &sample).await?,
        })
    }

    async fn findings(&self, name: &TableName) -> Result<Findings, TrustError> {
        let table = name.quoted();
        let counts = format!(
            "select rule, action, column_name, count(*) as row_count from {table} \
             group by rule, action, column_name order by row_count desc, rule"
        );
        let sample = format!(
            "select rule, action, column_name, source, source_file, source_position, \
             cast(raw_value as varchar) as raw_value, cast(value as varchar) as value \
             from (select *, row_number() over (partition by rule, action order by source_file, source_position) as place \
                   from {table}) as placed \
             where place <= 3 order by rule, place limit {EXAMPLES}"
        );
        Ok(Findings {
            model: name.name().to_owned(),
            counts: rows(self.session, name, &counts).await?,
            rows: rows(self.session, name, &sample).await?,
        })
    }
}
