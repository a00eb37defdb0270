//! From sources to bronze: files, deliveries and topics, each row once, with where it came from. Owns the lake that it is loaded into.
//!
//! Invariant: what is built from bronze is not known here.

pub mod bronze;
mod error;
mod feeds;
mod ingest;
mod intake;
mod lease;
mod maintain;
mod old_epochs;
mod ownership;
mod publish;
mod reading;
mod seed;
mod upkeep;
mod workspace;

pub use error::LoadError;
pub use feeds::require_feed;
pub use ingest::{IngestOptions, ReadyCheck, SourceTable, check_sources, ingest, source_tables};
pub use intake::{
    Aside, Content, Damage, DamageKind, Delivery, Feed, FeedOptions, FeedStatus, IntakeError, Origin, Reading, Receipt,
    ReplayOptions, Replayed, SEGMENT_BYTES as JOURNAL_SEGMENT_BYTES, TopicLoad, delivered, load_topic, payloads,
    replay, segment_of, set_aside, set_aside_sql, topic_position,
};
pub use lease::LASTS as LEASE_LASTS;
pub use maintain::{EVERY as MAINTAIN_EVERY, GRACE as FILE_GRACE, MaintainOptions, maintain, maintain_if_due};
pub use old_epochs::REBUILT_VERSIONS;
pub use ownership::{Claim, Holder, Ownership, machine_name};
pub use publish::{Changes, publish};
pub use seed::read_seed;
pub use upkeep::{Checkpoints, MAINTAIN_EVERY as SERVER_MAINTAIN_EVERY, Upkeep};
pub use workspace::{Workspace, loaded_tables, local_viewer};
