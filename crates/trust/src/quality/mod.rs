//! The quality report: reads the lake's own tables, settles what they say in one model ([`QualityReport`]), and shows it as
//! one page that needs nothing from outside. Any of the tables may be absent; then the report says what that means.

mod examples;
mod flow;
mod page;
mod picture;
mod records;
mod report;
mod score;
mod verdict;

use std::collections::{BTreeMap, BTreeSet};

use chrono::Utc;
use wardlake_access::Viewer;
use wardlake_engine::ReadState;
use wardlake_load::Workspace;

use self::{flow::Map, records::Records};
use crate::{error::TrustError, profile::anomaly::Metric};

pub use self::{
    page::quality_page,
    report::{
        AccountedTable, AnomalyRecord, Drift, Example, Figures, Finding, Flow, FlowLink, FlowNode, Level, MaskedValue,
        Missing, QualityReport, QuarantinedTable, Reason, RuleCount, RuleQuality, RuleStatus, RunRecord, SourceLoads,
        TableQuality, TestFinding, TestRecord, TrendPoint, Verdict, Volume, WorstRule,
    },
};

/// Makes the report of the newest run, or of the one whose id begins with `run`, of what `viewer` sees.
pub async fn quality(workspace: &Workspace, viewer: Viewer, run: Option<&str>) -> Result<QualityReport, TrustError> {
    let session = workspace.engine.session(viewer, ReadState::Working).await?;
    let records = Records::read(&workspace.lake, &session, run).await?;
    let map = Map::new(&workspace.project);
    let (tables, trend) = score::tables(&records.rule_results, |model| map.relation(model));
    let accounting = accounting(&records);
    let audit_of = |model: &str| map.model(model).and_then(|node| node.audit.as_deref());
    let mut report = QualityReport {
        generated_at: Utc::now(),
        project: workspace.project.root().name.clone(),
        run: records.run.clone(),
        verdict: Verdict { level: Level::Unknown, headline: String::new(), reasons: Vec::new() },
        figures: score::figures(&tables),
        worst: score::worst(&tables),
        tables,
        trend,
        examples: examples::examples(&records.quarantine, &records.findings, audit_of),
        flow: flow::flow(&accounting, &records, &map),
        accounting,
        quarantine: quarantine(&records),
        findings: findings(&records),
        loads: loads(&records),
        drift: drift(&records),
        anomalies: anomalies(&records),
        volumes: volumes(&records),
        tests: test_record(&records, workspace),
        missing: records.missing.clone(),
    };
    report.figures.repaired = score::repaired(&records.rule_results);
    count(&mut report);
    report.verdict = verdict::verdict(&report);
    Ok(report)
}

/// The figures that are sums of the report's parts.
fn count(report: &mut QualityReport) {
    let figures = &mut report.figures;
    for table in &report.accounting {
        figures.rows_in += table.rows_in;
        figures.rows_out += table.rows_out;
        figures.rows_quarantined += table.rows_quarantined;
        figures.rows_duplicate += table.rows_duplicate;
        figures.rows_filtered += table.rows_filtered;
        figures.unbalanced += u64::from(!table.is_balanced);
    }
    figures.open_rows = report.quarantine.iter().map(|table| table.open).sum();
    figures.rows_read = report.loads.iter().map(|load| load.rows_read + load.rows_rejected).sum();
    figures.rows_rejected = report.loads.iter().map(|load| load.rows_rejected).sum();
    figures.drifted = report.drift.iter().filter(|drift| drift.is_new && drift.change != "reordered").count() as u64;
    figures.anomalies = report.anomalies.len() as u64;
}

/// The newest account of every model, those with the most rows held back first.
fn accounting(records: &Records) -> Vec<AccountedTable> {
    let mut newest: BTreeMap<&str, &records::AccountingRow> = BTreeMap::new();
    for row in &records.accounting {
        newest.insert(&row.model, row);
    }
    let account = |row: &records::AccountingRow| AccountedTable {
        model: row.model.clone(),
        relation: row.relation.clone(),
        input: row.input.clone(),
        rows_in: row.rows_in,
        rows_out: row.rows_out,
        rows_quarantined: row.rows_quarantined,
        rows_duplicate: row.rows_duplicate,
        rows_filtered: row.rows_filtered,
        is_balanced: row.is_balanced,
        finished_at: row.finished_at,
    };
    let mut tables: Vec<AccountedTable> = newest.into_values().map(account).collect();
    tables.sort_by_key(|table| {
        let held = table.rows_quarantined + table.rows_duplicate + table.rows_filtered;
        (table.is_balanced, std::cmp::Reverse(held))
    });
    tables
}

fn quarantine(records: &Records) -> Vec<QuarantinedTable> {
    let table = |table: &records::Quarantine| {
        let rows = |state: &str| {
            table.states.iter().filter(|found| found.state == state).map(|found| found.row_count).sum::<u64>()
        };
        QuarantinedTable {
            model: table.model.clone(),
            open: rows("open"),
            released: rows("released"),
            fixed: rows("fixed"),
            dismissed: rows("dismissed"),
            oldest_open_at: table.states.iter().filter(|found| found.state == "open").find_map(|found| found.oldest),
            rules: rule_counts(table.rules.iter().map(|found| (&found.rule, found.row_count))),
        }
    };
    let mut tables: Vec<QuarantinedTable> = records.quarantine.iter().map(table).collect();
    tables.sort_by_key(|table| std::cmp::Reverse(table.open));
    tables
}

fn rule_counts<'a>(counts: impl Iterator<Item = (&'a String, u64)>) -> Vec<RuleCount> {
    counts.map(|(rule, rows)| RuleCount { rule: rule.clone(), rows }).collect()
}

fn findings(records: &Records) -> Vec<Finding> {
    let mut findings: Vec<Finding> = records
        .findings
        .iter()
        .flat_map(|table| {
            table.counts.iter().map(|found| Finding {
                model: table.model.clone(),
                rule: found.rule.clone(),
                action: found.action.clone(),
                column: found.column_name.clone(),
                count: found.row_count,
            })
        })
        .collect();
    let rank = |found: &Finding| {
        ["repair", "conflict", "duplicate", "filtered"].iter().position(|action| found.action == *action)
    };
    findings.sort_by_key(|found| (rank(found).unwrap_or(usize::MAX), std::cmp::Reverse(found.count)));
    findings
}

fn loads(records: &Records) -> Vec<SourceLoads> {
    let load = |load: &records::LoadSum| {
        let rejected = records.rejected.iter().filter(|row| row.source == load.source);
        SourceLoads {
            source: load.source.clone(),
            files: load.files,
            rows_read: load.rows_read,
            rows_kept: load.rows_kept,
            rows_unchanged: load.rows_unchanged,
            rows_rejected: load.rows_rejected,
            last_loaded_at: load.last_loaded_at,
            rejected: rule_counts(rejected.map(|row| (&row.reason, row.row_count))),
        }
    };
    records.loads.iter().map(load).collect()
}

/// One entry per change of a column, whatever number of files shows it; the newest first.
fn drift(records: &Records) -> Vec<Drift> {
    let mut changes: BTreeMap<(&str, &str, &str), Drift> = BTreeMap::new();
    for file in &records.drift {
        let is_new = records.newest_load_run.as_ref() == Some(&file.run_id);
        for found in &file.drift {
            let change = changes.entry((&file.source, &found.column, &found.change)).or_insert_with(|| Drift {
                source: file.source.clone(),
                column: found.column.clone(),
                change: found.change.clone(),
                detail: found.detail.clone(),
                file: file.file.clone(),
                files: 0,
                loaded_at: file.loaded_at,
                is_new: false,
            });
            change.files += 1;
            change.loaded_at = change.loaded_at.max(file.loaded_at);
            change.is_new |= is_new;
        }
    }
    let mut changes: Vec<Drift> = changes.into_values().collect();
    changes.sort_by_key(|drift| (!drift.is_new, drift.change == "reordered", std::cmp::Reverse(drift.loaded_at)));
    changes
}

/// The alarms of each table's newest profile; older ones are settled or told again.
fn anomalies(records: &Records) -> Vec<AnomalyRecord> {
    let mut newest: BTreeMap<&str, &str> = BTreeMap::new();
    for profile in &records.profiles {
        newest.insert(&profile.figures.relation, &profile.run_id);
    }
    let metrics = || [Metric::RowCount].into_iter().chain(Metric::OF_COLUMNS);
    let is_current = |row: &&records::AnomalyRow| newest.get(row.relation.as_str()) == Some(&row.run_id.as_str());
    let record = |row: &records::AnomalyRow| {
        let metric = metrics().find(|metric| metric.as_str() == row.metric);
        let past = records.profiles.iter().filter(|profile| {
            profile.figures.relation == row.relation && profile.figures.column_name == row.column_name
        });
        AnomalyRecord {
            relation: row.relation.clone(),
            column: row.column_name.clone(),
            metric: row.metric.clone(),
            value: row.value,
            expected: row.expected,
            low: row.low,
            high: row.high,
            score: row.score,
            message: row.message.clone(),
            found_at: row.found_at,
            history: past.filter_map(|profile| metric.and_then(|metric| profile.figures.figure(metric))).collect(),
        }
    };
    records.anomalies.iter().filter(is_current).map(record).collect()
}

fn volumes(records: &Records) -> Vec<Volume> {
    let alarms = anomalies(records);
    let mut volumes: BTreeMap<&str, Volume> = BTreeMap::new();
    for profile in records.profiles.iter().filter(|profile| profile.figures.column_name.is_none()) {
        let relation = profile.figures.relation.as_str();
        let volume = volumes.entry(relation).or_insert_with(|| Volume {
            relation: relation.to_owned(),
            rows: 0,
            columns: records.columns.get(relation).copied().unwrap_or(0),
            history: Vec::new(),
            anomalies: alarms.iter().filter(|alarm| alarm.relation == relation).count() as u64,
            profiled_at: profile.profiled_at,
        });
        volume.rows = profile.figures.row_count as u64;
        volume.history.push(profile.figures.row_count);
        volume.profiled_at = profile.profiled_at;
    }
    let mut volumes: Vec<Volume> = volumes.into_values().collect();
    volumes.sort_by(|a, b| b.anomalies.cmp(&a.anomalies).then(b.rows.cmp(&a.rows)));
    volumes
}

/// The newest result of every test the project still has.
fn test_record(records: &Records, workspace: &Workspace) -> Option<TestRecord> {
    let known: BTreeSet<&str> = workspace.project.nodes().keys().map(String::as_str).collect();
    let mut tests = TestRecord::default();
    let is_test = |row: &&records::NodeRow| row.resource_type == "test" && known.contains(row.unique_id.as_str());
    for row in records.nodes.iter().filter(is_test) {
        *match row.status.as_str() {
            "pass" => &mut tests.passed,
            "warn" => &mut tests.warned,
            "skipped" => continue,
            _ => &mut tests.failed,
        } += 1;
        if row.status != "pass" {
            let name = workspace.project.node(&row.unique_id).map_or(row.unique_id.as_str(), |node| &node.name);
            tests.found.push(TestFinding { name: name.to_owned(), status: row.status.clone(), failures: row.failures });
        }
    }
    tests.found.sort_by(|a, b| (a.status == "warn").cmp(&(b.status == "warn")).then(b.failures.cmp(&a.failures)));
    (tests.passed + tests.warned + tests.failed > 0).then_some(tests)
}
