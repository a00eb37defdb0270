//! What a quality report says, as data: the page, the terminal and `--json` show this and nothing else.
//!
//! No field holds a patient's value: examples are masked before they get here.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// How good the data is, as of one run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QualityReport {
    /// When the report was made.
    pub generated_at: DateTime<Utc>,
    /// The project.
    pub project: String,
    /// The run after which things stood like this; none before the first run.
    pub run: Option<RunRecord>,
    /// The whole in words.
    pub verdict: Verdict,
    /// The whole in numbers.
    pub figures: Figures,
    /// Every table with rules, the worst first.
    pub tables: Vec<TableQuality>,
    /// The score after each run, oldest first.
    pub trend: Vec<TrendPoint>,
    /// The rules that most rows break, the gravest first.
    pub worst: Vec<WorstRule>,
    /// Rows that broke rules, masked.
    pub examples: Vec<Example>,
    /// Where the rows of each accounted table went.
    pub accounting: Vec<AccountedTable>,
    /// The pictured way of the rows from layer to layer.
    pub flow: Flow,
    /// What is withheld.
    pub quarantine: Vec<QuarantinedTable>,
    /// What was put right, left out or only reported.
    pub findings: Vec<Finding>,
    /// What was read from each source.
    pub loads: Vec<SourceLoads>,
    /// Columns that came, went or changed.
    pub drift: Vec<Drift>,
    /// Figures out of the ordinary.
    pub anomalies: Vec<AnomalyRecord>,
    /// The rows of each published table over the runs.
    pub volumes: Vec<Volume>,
    /// The tests of the project.
    pub tests: Option<TestRecord>,
    /// What could not be said, and why.
    pub missing: Vec<Missing>,
}

/// A run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// Its id.
    pub run_id: String,
    /// Its command.
    pub command: String,
    /// `success` or `error`.
    pub status: String,
    /// When it ended.
    pub finished_at: DateTime<Utc>,
    /// The epoch it published, if any.
    pub epoch: Option<u64>,
}

/// How things stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Nothing is wrong.
    Good,
    /// Something is to be looked at.
    Attention,
    /// The data must not be trusted as it is.
    Bad,
    /// Nothing was measured.
    Unknown,
}

/// The whole in words.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// How things stand.
    pub level: Level,
    /// One sentence.
    pub headline: String,
    /// Why, the gravest first.
    pub reasons: Vec<Reason>,
}

/// One reason of a verdict.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reason {
    /// How grave it is.
    pub level: Level,
    /// One sentence.
    pub text: String,
}

/// The whole in numbers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// 1 − broken / checks; none without checks.
    pub score: Option<f64>,
    /// Rows checked, once per rule.
    pub checks: u64,
    /// Of these, how many did not hold.
    pub broken: u64,
    /// Rules.
    pub rules: u64,
    /// Rules that every row kept.
    pub rules_passed: u64,
    /// Rules that some rows broke, within what is allowed.
    pub rules_warned: u64,
    /// Rules broken beyond what is allowed.
    pub rules_failed: u64,
    /// Rules that had no row to check.
    pub rules_without_data: u64,
    /// Rows that went into accounted tables.
    pub rows_in: u64,
    /// Rows that came out.
    pub rows_out: u64,
    /// Rows withheld.
    pub rows_quarantined: u64,
    /// Rows that another row stands for.
    pub rows_duplicate: u64,
    /// Rows left out on purpose.
    pub rows_filtered: u64,
    /// Accounted tables whose rows do not add up.
    pub unbalanced: u64,
    /// Quarantined rows that wait for somebody.
    pub open_rows: u64,
    /// Cells put right by declared repairs.
    pub repaired: u64,
    /// Records read from files.
    pub rows_read: u64,
    /// Records that could not be read.
    pub rows_rejected: u64,
    /// Columns added, missing or retyped by the newest load.
    pub drifted: u64,
    /// Figures out of the ordinary.
    pub anomalies: u64,
}

/// How a rule or table stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RuleStatus {
    /// Broken beyond what is allowed.
    Fail,
    /// Broken by some rows.
    Warn,
    /// There was no row to check.
    NoData,
    /// Every row keeps it.
    Pass,
}

/// A table with rules.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TableQuality {
    /// The model.
    pub model: String,
    /// `schema.name`, if the project still has the model.
    pub relation: Option<String>,
    /// 1 − broken / checks over its rules; none without checks.
    pub score: Option<f64>,
    /// Rows checked, once per rule.
    pub checks: u64,
    /// Of these, how many did not hold.
    pub broken: u64,
    /// The worst status of its rules.
    pub status: RuleStatus,
    /// When it was last checked.
    pub checked_at: DateTime<Utc>,
    /// Its rules, the worst first.
    pub rules: Vec<RuleQuality>,
    /// Its score run by run, oldest first.
    pub trend: Vec<TrendPoint>,
}

/// A rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RuleQuality {
    /// Its name.
    pub rule: String,
    /// The kind of defect it finds.
    pub kind: String,
    /// `warn`, `quarantine` or `fail`.
    pub action: String,
    /// `low`, `medium` or `high`.
    pub severity: String,
    /// Why it is there.
    pub reason: Option<String>,
    /// Above it the gate fails.
    pub threshold: Option<String>,
    /// How it stands.
    pub status: RuleStatus,
    /// Rows checked.
    pub rows_checked: u64,
    /// Rows that broke it.
    pub rows_broken: u64,
    /// 1 − broken / checked; none without rows.
    pub score: Option<f64>,
    /// Its score run by run, oldest first.
    pub trend: Vec<TrendPoint>,
}

/// A score after a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrendPoint {
    /// The run.
    pub run_id: String,
    /// When it ended.
    pub at: DateTime<Utc>,
    /// None if there was nothing to check.
    pub score: Option<f64>,
}

/// A rule among the worst.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WorstRule {
    /// The model.
    pub model: String,
    /// The rule.
    pub rule: String,
    /// `low`, `medium` or `high`.
    pub severity: String,
    /// `warn`, `quarantine` or `fail`.
    pub action: String,
    /// Why it is there.
    pub reason: Option<String>,
    /// Rows that broke it.
    pub rows_broken: u64,
    /// Of the rows checked.
    pub share: f64,
}

/// A row that broke a rule, its values masked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Example {
    /// The model.
    pub model: String,
    /// The rule.
    pub rule: String,
    /// `quarantine`, `warn`, `repair`, …
    pub action: String,
    /// Names the row to `wardlake quarantine show`.
    pub quarantine_id: Option<String>,
    /// Where it came from.
    pub source: Option<String>,
    /// The file.
    pub source_file: Option<String>,
    /// The line or record.
    pub source_position: Option<u64>,
    /// The rule's columns.
    pub values: Vec<MaskedValue>,
}

/// A value whose letters and digits are hidden.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MaskedValue {
    /// The column.
    pub column: String,
    /// Its shape.
    pub shape: String,
    /// For repairs, the shape after it.
    pub becomes: Option<String>,
}

/// Where the rows of a table went.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AccountedTable {
    /// The model.
    pub model: String,
    /// `schema.name`.
    pub relation: String,
    /// What its rows come from.
    pub input: String,
    /// Rows of the input.
    pub rows_in: u64,
    /// Rows of the table.
    pub rows_out: u64,
    /// Rows withheld.
    pub rows_quarantined: u64,
    /// Rows that another row stands for.
    pub rows_duplicate: u64,
    /// Rows left out on purpose.
    pub rows_filtered: u64,
    /// Whether in = out + quarantined + duplicates + filtered.
    pub is_balanced: bool,
    /// When.
    pub finished_at: DateTime<Utc>,
}

/// The pictured way of the rows. Columns are layers from left to right.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Flow {
    /// The layers' names.
    pub layers: Vec<String>,
    /// Tables.
    pub nodes: Vec<FlowNode>,
    /// From table to table.
    pub links: Vec<FlowLink>,
}

/// A table of the picture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FlowNode {
    /// `schema.name`, or what the node stands for.
    pub name: String,
    /// Its place in [`Flow::layers`].
    pub layer: usize,
    /// Rows it holds; none if unknown.
    pub rows: Option<u64>,
    /// Rows withheld on the way into it.
    pub quarantined: u64,
    /// Rows that another row stands for.
    pub duplicate: u64,
    /// Rows left out on purpose.
    pub filtered: u64,
    /// Records that could not be read (first layer).
    pub rejected: u64,
}

/// A way between two tables.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FlowLink {
    /// Index of the node it starts at.
    pub from: usize,
    /// Index of the node it ends at.
    pub to: usize,
    /// Rows that went this way; none where tables are joined and aggregated.
    pub rows: Option<u64>,
}

/// What is withheld from a table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QuarantinedTable {
    /// The model.
    pub model: String,
    /// Rows that wait.
    pub open: u64,
    /// Rows that flowed on after the rule or the source had changed.
    pub released: u64,
    /// Rows that flowed on after somebody corrected them.
    pub fixed: u64,
    /// Rows somebody decided to leave out.
    pub dismissed: u64,
    /// Since when the oldest open row waits.
    pub oldest_open_at: Option<DateTime<Utc>>,
    /// Open rows per rule, the most first.
    pub rules: Vec<RuleCount>,
}

/// Rows of a rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RuleCount {
    /// The rule.
    pub rule: String,
    /// Rows.
    pub rows: u64,
}

/// What an audit found without withholding the row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// The model.
    pub model: String,
    /// The rule or repair.
    pub rule: String,
    /// `warn`, `repair`, `duplicate`, `conflict` or `filtered`.
    pub action: String,
    /// The column, for cells.
    pub column: Option<String>,
    /// Cells or rows.
    pub count: u64,
}

/// What was read from a source.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SourceLoads {
    /// `<source>.<table>`.
    pub source: String,
    /// Loads of files.
    pub files: u64,
    /// Well-formed records.
    pub rows_read: u64,
    /// Records kept as news.
    pub rows_kept: u64,
    /// Records equal to what was known.
    pub rows_unchanged: u64,
    /// Records that could not be read.
    pub rows_rejected: u64,
    /// The newest load.
    pub last_loaded_at: DateTime<Utc>,
    /// Why records could not be read.
    pub rejected: Vec<RuleCount>,
}

/// A change of a source's columns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Drift {
    /// `<source>.<table>`.
    pub source: String,
    /// The column.
    pub column: String,
    /// `added`, `missing`, `reordered` or `retyped`.
    pub change: String,
    /// For retyped: from and to.
    pub detail: Option<String>,
    /// The first file in which it was seen.
    pub file: String,
    /// How many files show it.
    pub files: u64,
    /// When the last of them was loaded.
    pub loaded_at: DateTime<Utc>,
    /// Whether the newest load brought it.
    pub is_new: bool,
}

/// A figure out of the ordinary, with its past.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AnomalyRecord {
    /// `schema.name`.
    pub relation: String,
    /// The column; none for the table itself.
    pub column: Option<String>,
    /// `row_count`, `null_rate`, `distinct_count`, `mean`, `min` or `max`.
    pub metric: String,
    /// The figure.
    pub value: f64,
    /// What was expected.
    pub expected: f64,
    /// The lowest ordinary figure.
    pub low: f64,
    /// The highest ordinary figure.
    pub high: f64,
    /// Robust standard deviations from what was expected.
    pub score: f64,
    /// One sentence.
    pub message: String,
    /// When it was found.
    pub found_at: DateTime<Utc>,
    /// The figure run by run, oldest first, itself last.
    pub history: Vec<f64>,
}

/// The rows of a table over the runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Volume {
    /// `schema.name`.
    pub relation: String,
    /// Rows now.
    pub rows: u64,
    /// Profiled columns.
    pub columns: u64,
    /// Rows run by run, oldest first.
    pub history: Vec<f64>,
    /// Figures of it that are out of the ordinary.
    pub anomalies: u64,
    /// When it was last written.
    pub profiled_at: DateTime<Utc>,
}

/// How the project's tests ended last.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TestRecord {
    /// Found nothing.
    pub passed: u64,
    /// Found something that is let through.
    pub warned: u64,
    /// Found something, or could not run.
    pub failed: u64,
    /// Those that found something, the gravest first.
    pub found: Vec<TestFinding>,
}

/// A test that found something.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TestFinding {
    /// Its name.
    pub name: String,
    /// `warn`, `fail` or `error`.
    pub status: String,
    /// Rows it found.
    pub failures: Option<u64>,
}

/// Something the report cannot say.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Missing {
    /// The table that is not there.
    pub table: String,
    /// What that means.
    pub text: String,
}
