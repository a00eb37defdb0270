//! What a model's YAML says about its rows, under `config.meta.wardlake`: which hold (`expectations`), which cells are put
//! right (`repairs`), which rows are left out on purpose (`filters`), and what they come from (`input`).
//!
//! The model of persons also says which models speak of decisions about them (`identity`).
//!
//! Declared once, read here, evaluated by whoever runs the model. dbt tolerates and ignores the block.

mod identity;
mod read;

use crate::jinja::{RefCall, SourceCall};

pub use identity::Identity;
pub(crate) use identity::SECTION as IDENTITY;
pub(crate) use read::{AuditProblem, misplaced};

/// The columns of a model that only its audit reads; they are not stored.
pub const HIDDEN_PREFIX: &str = "_raw_";

/// Everything a model declares about its rows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Audit {
    /// The relation whose rows the model's rows are, one by one; makes the model accounted.
    pub input: Option<RelationCall>,
    /// The columns by which people know a row.
    pub row_key: Vec<String>,
    /// Rules, in the order written.
    pub rules: Vec<Rule>,
    /// Repaired cells, in the order written.
    pub repairs: Vec<Repair>,
    /// Rows left out on purpose, in the order written.
    pub filters: Vec<Filter>,
    /// Which of several rows of one key survives.
    pub deduplicate: Option<Deduplicate>,
}

/// `ref(…)` or `source(…)`, written as text in YAML.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RelationCall {
    /// A model, seed or snapshot.
    Ref(RefCall),
    /// A loaded table.
    Source(SourceCall),
}

/// One expectation.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// Unique within the model.
    pub name: String,
    /// What kind of defect it finds, across models.
    pub kind: String,
    /// What must hold.
    pub check: Check,
    /// What becomes of a row for which it does not hold.
    pub action: Action,
    /// How much it matters to people.
    pub severity: RuleSeverity,
    /// Above it, the model's gate fails.
    pub threshold: Option<Threshold>,
    /// Why the rule is there, for people.
    pub reason: String,
}

/// What must hold of a row. What is NULL holds, as in SQL's CHECK, except for `NotNull`.
#[derive(Clone, Debug, PartialEq)]
pub enum Check {
    /// A SQL predicate over the model's columns.
    That(String),
    /// The column has a value.
    NotNull(String),
    /// The value is one of these SQL literals.
    In {
        /// The column.
        column: String,
        /// Literals, quoted where they are text.
        values: Vec<String>,
    },
    /// The value lies between two SQL literals, both included.
    Between {
        /// The column.
        column: String,
        /// The smallest.
        min: Option<String>,
        /// The largest.
        max: Option<String>,
    },
    /// The text matches a regular expression.
    Matches {
        /// The column.
        column: String,
        /// The expression.
        pattern: String,
    },
    /// The first is not after the second.
    Before {
        /// The first.
        column: String,
        /// The second.
        other: String,
    },
    /// No other row has the same values.
    UniqueIn(Vec<String>),
    /// The value is found in another relation.
    ExistsIn {
        /// The column.
        column: String,
        /// The other relation.
        to: RelationCall,
        /// Its column.
        field: String,
    },
    /// The raw text was empty or could be read as the column's type.
    Typed(String),
}

impl Check {
    /// The columns it is about, for people and for masking; none where it is free SQL.
    pub fn columns(&self) -> Vec<&str> {
        match self {
            Self::That(_) => Vec::new(),
            Self::NotNull(column)
            | Self::In { column, .. }
            | Self::Between { column, .. }
            | Self::Matches { column, .. }
            | Self::ExistsIn { column, .. }
            | Self::Typed(column) => vec![column],
            Self::Before { column, other } => vec![column, other],
            Self::UniqueIn(columns) => columns.iter().map(String::as_str).collect(),
        }
    }
}

/// What becomes of a row that breaks a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// It stays and is listed.
    Warn,
    /// It is withheld, with every rule it broke, until it is put right.
    Quarantine,
    /// The model fails and the published table stays as it was.
    Fail,
}

impl Action {
    /// As written in YAML.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Warn => "warn",
            Self::Quarantine => "quarantine",
            Self::Fail => "fail",
        }
    }
}

/// How much a rule matters to people.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RuleSeverity {
    /// Worth knowing.
    Low,
    /// Worth mending.
    #[default]
    Medium,
    /// Figures are wrong until it is mended.
    High,
}

impl RuleSeverity {
    /// As written in YAML.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

/// How many broken rows a gate lets through.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Threshold {
    /// So many rows.
    Rows(u64),
    /// Such a share of the rows checked, 0.0 to 1.0.
    Share(f64),
}

impl Threshold {
    /// Whether `broken` of `checked` rows are too many.
    pub fn is_exceeded(self, broken: u64, checked: u64) -> bool {
        match self {
            Self::Rows(rows) => broken > rows,
            Self::Share(share) => broken as f64 > share * checked as f64,
        }
    }
}

impl std::fmt::Display for Threshold {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Rows(rows) => write!(f, "{rows} rows"),
            Self::Share(share) => write!(f, "{} %", share * 100.0),
        }
    }
}

/// A cell that is put right by declaration. The model's SQL does it; the audit counts and lists it.
#[derive(Clone, Debug, PartialEq)]
pub struct Repair {
    /// Unique within the model.
    pub name: String,
    /// What kind of defect it mends, across models.
    pub kind: String,
    /// The column.
    pub column: String,
    /// How.
    pub how: RepairKind,
    /// Why, for people.
    pub reason: String,
}

/// How a cell is put right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RepairKind {
    /// Other spellings are replaced by a standard value. Neither case nor blanks around a text make another spelling of it.
    Standardise {
        /// Standard value → its other spellings.
        spellings: Vec<(String, Vec<String>)>,
        /// Texts that its sources agreed on: to translate one is no repair.
        codes: Vec<String>,
    },
    /// A missing value is replaced by this one.
    Default(String),
    /// The raw text, for which this SQL predicate over the model's columns is true, is read in another way.
    Reread(String),
}

/// Rows left out on purpose, of those that survive deduplication: a key whose newest row is left out does not fall back on an
/// older one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// Unique within the model.
    pub name: String,
    /// SQL predicate over the model's columns: what is true is left out.
    pub predicate: String,
    /// Why, for people.
    pub reason: String,
}

/// A key figure whose bounds are worked out while rows it rests on are withheld: its value without them and with them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kpi {
    /// Columns that name one figure among those of the model.
    pub key: Vec<String>,
    /// Numeric columns.
    pub figures: Vec<String>,
}

/// Which of the rows of one key survives: the first in order. The others are duplicates where their version is the same,
/// and superseded (left out on purpose) where it is another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deduplicate {
    /// Columns that are the same.
    pub key: Vec<String>,
    /// SQL order, best first.
    pub order_by: Vec<String>,
    /// The column that tells one state of a row from the next; none: every further row is a duplicate.
    pub version: Option<String>,
}
