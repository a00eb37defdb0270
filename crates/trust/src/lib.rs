//! What is made of a run: profiles, bounds, quality, people's decisions about withheld rows and about persons, the way of a row back to its
//! bytes, the score against a known truth. All of it by reading the lake's own tables.

mod after;
mod bounds;
mod error;
mod explain;
mod identity;
mod numbers;
mod profile;
mod quality;
mod quarantine;
mod score;

pub use after::after;
pub use error::TrustError;
pub use explain::{Explanation, Origin, Step, explain};
pub use identity::{
    IdentityDecision, IdentityOutcome, IdentityRefusal, IdentityRequest, decide_identity, identity_review,
};
pub use numbers::percent;
pub use quality::{
    AccountedTable, AnomalyRecord, Drift, Example, Figures, Finding, Flow, FlowLink, FlowNode, Level, MaskedValue,
    Missing, QualityReport, QuarantinedTable, Reason, RuleCount, RuleQuality, RuleStatus, RunRecord, SourceLoads,
    TableQuality, TestFinding, TestRecord, TrendPoint, Verdict, Volume, WorstRule, quality, quality_page,
};
pub use quarantine::{
    Corrected, Correction, Decided, Decision, audited_models, correct, decide, require_audited, require_rule,
};
pub use score::{Accusation, ExpectedRow, FigureDifference, FigureScore, accusations, compare_figures};
