//! Runs a project: loads its sources, builds its graph, tests it and publishes what passed. One code path for every
//! command; what happens is told as [`RunEvent`]s.

mod adapter;
mod bounds;
mod bronze;
mod build;
mod error;
mod event;
mod explain;
mod identity;
mod ingest;
mod intake;
mod live;
mod ownership;
mod profile;
mod publish;
mod quality;
mod quarantine;
mod records;
mod score;
mod sql;
mod system;
mod workspace;

pub use build::{BuildOptions, build, compile, compile_inline};
pub use error::RunnerError;
pub use event::{ColumnDrift, EventSink, FileLoad, NodeResult, RunEvent, Status, Totals};
pub use explain::{Explanation, Origin, Step, explain};
pub use identity::{IdentityDecision, IdentityOutcome, IdentityRequest, decide_identity};
pub use ingest::{IngestOptions, ReadyCheck, SourceTable, ingest, source_tables};
pub use intake::{
    Content, Damage, DamageKind, Delivery, Feed, FeedOptions, FeedStatus, IntakeError, Reading, Receipt, TopicLoad,
    load_topic, topic_position,
};
pub use live::{
    Alerts, Checkpoints, Follower, Live, LiveOptions, ModelNews, Notice, Pace, Pictures, Refresher, StoppedModel,
    Upkeep, UpkeepReport, Wave,
};
pub use ownership::{Holder, Ownership};
pub use quality::{
    AccountedTable, AnomalyRecord, Drift, Example, Figures, Finding, Flow, FlowLink, FlowNode, Level, MaskedValue,
    Missing, QualityReport, QuarantinedTable, Reason, RuleCount, RuleQuality, RuleStatus, RunRecord, SourceLoads,
    TableQuality, TestFinding, TestRecord, TrendPoint, Verdict, Volume, WorstRule, percent, quality, quality_page,
};
pub use quarantine::{Corrected, Correction, Decision, audited_models, correct, decide};
pub use score::{Accusation, ExpectedRow, FigureDifference, FigureScore, accusations, compare_figures};
pub use workspace::{RunSummary, Workspace};
