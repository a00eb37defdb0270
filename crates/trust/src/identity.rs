//! People's decisions about which patient records are one person: rows of `system.identity_decisions`, which only grows.
//! What follows from them is SQL of the project, which reads the table as a source; it shows after the next build.
//!
//! Which table has the records, what stands for a pair of them after all decisions, and which pairs wait are models of the project,
//! named by the `identity` setting of the model of persons. The model of what stands is asked as its SQL says now, not as it was
//! built: a decision counts for the next one at once.

use std::sync::Arc;

use arrow::{
    array::AsArray,
    compute::cast,
    datatypes::{DataType, TimeUnit, TimestampMicrosecondType},
};
use chrono::Utc;
use uuid::Uuid;
use wardlake_access::Viewer;
use wardlake_build::compile_node;
use wardlake_core::{ErrorKind, HasErrorKind, TableName};
use wardlake_engine::{
    Query, ReadState, Session,
    sql::{identifier, literal},
};
use wardlake_load::Workspace;
use wardlake_project::{UniqueId, audit::RelationCall};
use wardlake_records::system::{self, IDENTITY_DECISIONS, IdentityRow, SCHEMA};

use crate::error::TrustError;

/// What a person can decide about two patient records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdentityDecision {
    /// They are one person.
    Merge,
    /// Their merge is taken back.
    Unmerge,
    /// They are two persons, whatever the matching rules say.
    Distinct,
}

impl IdentityDecision {
    /// As the table spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Merge => "merge",
            Self::Unmerge => "unmerge",
            Self::Distinct => "distinct",
        }
    }
}

/// Who decides what about which records, and why.
#[derive(Clone, Debug)]
pub struct IdentityRequest {
    /// What.
    pub decision: IdentityDecision,
    /// The two records, as the persons' column of records has them, in either order.
    pub patient_ids: [String; 2],
    /// Who.
    pub actor: String,
    /// Why, for people who read the history.
    pub reason: String,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdentityOutcome {
    /// It is recorded under this id and holds from the next build on.
    Recorded {
        /// The row's `decision_id`.
        decision_id: String,
    },
    /// It stands already; nothing was written.
    Stands,
}

/// Why a decision about records cannot be taken, or what waits for one not be listed.
#[derive(Debug, thiserror::Error)]
pub enum IdentityRefusal {
    /// No model of the project declares `identity`.
    #[error(
        "this project does not say which records can be decided about: no model has the setting `identity`; write `identity: \
         {{record: …, decisions: ref('…'), review: ref('…')}}` under `config.meta.wardlake` of the model that has a row per \
         patient record"
    )]
    Undeclared,
    /// There is no epoch.
    #[error("nothing is published yet; run `wardlake build`")]
    NothingPublished,
    /// The newest epoch has no table of records.
    #[error("the published project has no {persons}, so it has no patient records to decide about")]
    NoPersons {
        /// The table.
        persons: TableName,
    },
    /// One record is named twice, or none.
    #[error("name two different records by their {record}")]
    SameRecord {
        /// The column of records.
        record: String,
    },
    /// Nobody is named who decides.
    #[error("who decides? name a person with --by")]
    NoActor,
    /// No reason is given.
    #[error("why? give a reason with --reason")]
    NoReason,
    /// The newest epoch does not know a record. It may be a mistyped number of a patient: it is not repeated.
    #[error("the {place} record (by its {record}) is not in {persons}; ids are spelled as there, upper and lower case")]
    UnknownRecord {
        /// `first` or `second`.
        place: &'static str,
        /// The column of records.
        record: String,
        /// The table.
        persons: TableName,
    },
    /// No merge of the pair stands.
    #[error(
        "no decided merge of these two records stands, so there is nothing to take back; records that rules or A40 events hold \
         for one person are parted by `wardlake identity distinct`"
    )]
    NothingToTakeBack,
}

impl HasErrorKind for IdentityRefusal {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NothingPublished | Self::NoPersons { .. } | Self::UnknownRecord { .. } => ErrorKind::NotFound,
            Self::NothingToTakeBack => ErrorKind::Conflict,
            Self::Undeclared | Self::SameRecord { .. } | Self::NoActor | Self::NoReason => ErrorKind::Invalid,
        }
    }
}

/// What the project's `identity` setting names.
struct Models<'a> {
    /// The table with a row per record.
    persons: TableName,
    /// Its column of records.
    record: &'a str,
    /// The model of what stands, and the table it is built as.
    standing: (&'a UniqueId, TableName),
    /// The table of pairs that wait.
    review: TableName,
}

impl<'a> Models<'a> {
    fn of(workspace: &'a Workspace) -> Result<Self, TrustError> {
        let nodes = workspace.project.nodes().values();
        let mut declared = nodes.filter_map(|node| Some((node, node.identity.as_deref()?)));
        let (node, identity) = declared.next().ok_or(IdentityRefusal::Undeclared)?;
        let not_a_table = |name: &str| TrustError::NotATable { name: name.to_owned() };
        let model = |call: RelationCall| {
            let (id, relation) = workspace.project.find(&node.package, &call)?;
            Some((id, relation.table_name()?))
        };
        let standing = model(RelationCall::Ref(identity.decisions.clone()));
        let review = model(RelationCall::Ref(identity.review.clone()));
        Ok(Self {
            persons: node.relation.table_name().ok_or_else(|| not_a_table(&node.name))?,
            record: &identity.record,
            standing: standing.ok_or_else(|| not_a_table(&identity.decisions.name))?,
            review: review.ok_or_else(|| not_a_table(&identity.review.name))?.1,
        })
    }

    /// The query of what stands for each pair, after the decisions of this moment.
    async fn standing_sql(&self, workspace: &Workspace, session: &Session) -> Result<String, TrustError> {
        let compiled = compile_node(workspace, session, self.standing.0, false).await?;
        Ok(compiled.sql.trim().trim_end_matches(';').to_owned())
    }
}

/// Records a decision about records that `viewer` sees.
///
/// Refused are a record with itself, a record that the newest epoch does not know, an empty actor or reason, and an unmerge
/// where no merge stands.
pub async fn decide_identity(
    workspace: &Workspace,
    viewer: Viewer,
    request: &IdentityRequest,
) -> Result<IdentityOutcome, TrustError> {
    let models = Models::of(workspace)?;
    let mut pair = request.patient_ids.each_ref().map(|id| id.trim());
    pair.sort_unstable();
    check(request, pair, &models)?;
    require_known(&published(workspace, viewer.clone()).await?, &models, &request.patient_ids).await?;
    system::ensure_identity(&workspace.lake).await?;
    let session = published(workspace, viewer).await?;
    let standing = standing(&session, &models.standing_sql(workspace, &session).await?, pair).await?;
    if request.decision == IdentityDecision::Unmerge {
        if standing.as_deref() != Some(IdentityDecision::Merge.as_str()) {
            return Err(IdentityRefusal::NothingToTakeBack.into());
        }
    } else if standing.as_deref() == Some(request.decision.as_str()) {
        return Ok(IdentityOutcome::Stands);
    }
    // The order of decisions is that of their instants, also where a clock was set back.
    let newest = newest_instant(&session, pair).await?.unwrap_or(i64::MIN);
    let at_us = Utc::now().timestamp_micros().max(newest.saturating_add(1));
    let decision_id = Uuid::now_v7().to_string();
    system::append_identity(
        &workspace.lake,
        IdentityRow {
            decision_id: &decision_id,
            at_us,
            actor: request.actor.trim(),
            decision: request.decision.as_str(),
            patient_ids: pair,
            reason: request.reason.trim(),
        },
    )
    .await?;
    Ok(IdentityOutcome::Recorded { decision_id })
}

/// The pairs of the newest epoch that wait for a decision, the most probable first, from a score of `min_score` on: without those
/// for which something else stands by now than when they were put there. Their answer shows after the next build.
pub async fn identity_review(workspace: &Workspace, viewer: Viewer, min_score: f64) -> Result<Query, TrustError> {
    let models = Models::of(workspace)?;
    let session = published(workspace, viewer).await?;
    let built = &models.standing.1;
    for table in [&models.review, built] {
        if session.schema(table).await?.is_none() {
            return Err(TrustError::NotPublished { table: table.clone() });
        }
    }
    let standing = models.standing_sql(workspace, &session).await?;
    let (review, built) = (models.review.quoted(), built.quoted());
    let sql = format!(
        "select review.* from {review} as review \
         left join {built} as built on review.patient_id_a = built.patient_id_a and review.patient_id_b = built.patient_id_b \
         left join (\n{standing}\n) as standing on review.patient_id_a = standing.patient_id_a \
         and review.patient_id_b = standing.patient_id_b \
         where review.score >= {min_score} and coalesce(standing.decision, '') = coalesce(built.decision, '') \
         order by review.score desc, review.patient_id_a, review.patient_id_b"
    );
    Ok(session.query(&sql).await?)
}

/// A session that sees the newest epoch, where the decisions can be read as `system.identity_decisions`.
async fn published(workspace: &Workspace, viewer: Viewer) -> Result<Session, TrustError> {
    let Some(epoch) = workspace.lake.newest_epoch().await? else {
        return Err(IdentityRefusal::NothingPublished.into());
    };
    Ok(workspace.engine.session(viewer, ReadState::Epoch(Arc::new(epoch))).await?)
}

fn check(request: &IdentityRequest, [one, other]: [&str; 2], models: &Models<'_>) -> Result<(), TrustError> {
    if one.is_empty() || one == other {
        return Err(IdentityRefusal::SameRecord { record: models.record.to_owned() }.into());
    }
    if request.actor.trim().is_empty() {
        return Err(IdentityRefusal::NoActor.into());
    }
    if request.reason.trim().is_empty() {
        return Err(IdentityRefusal::NoReason.into());
    }
    Ok(())
}

/// Refuses a record that no person of the newest epoch has.
async fn require_known(session: &Session, models: &Models<'_>, records: &[String; 2]) -> Result<(), TrustError> {
    let Models { persons, record, .. } = models;
    let Some(schema) = session.schema(persons).await? else {
        return Err(IdentityRefusal::NoPersons { persons: persons.clone() }.into());
    };
    if schema.column_with_name(record).is_none() {
        let names = schema.fields().iter().map(|field| field.name().as_str());
        let nearest = wardlake_core::did_you_mean(record, names).map(str::to_owned);
        return Err(TrustError::NoColumn { table: persons.to_string(), column: (*record).to_owned(), nearest });
    }
    for (place, id) in ["first", "second"].into_iter().zip(records) {
        let known = session
            .collect(&format!(
                "select 1 as known from {} where cast({} as varchar) = {} limit 1",
                persons.quoted(),
                identifier(record),
                literal(id.trim())
            ))
            .await?;
        if known.iter().all(|batch| batch.num_rows() == 0) {
            let (record, persons) = ((*record).to_owned(), persons.clone());
            return Err(IdentityRefusal::UnknownRecord { place, record, persons }.into());
        }
    }
    Ok(())
}

/// What stands for a pair, the smaller record first, by the project's own rule.
async fn standing(session: &Session, sql: &str, [one, other]: [&str; 2]) -> Result<Option<String>, TrustError> {
    let batches = session
        .collect(&format!(
            "select cast(decision as varchar) as decision from (\n{sql}\n) as standing \
             where patient_id_a = {} and patient_id_b = {}",
            literal(one),
            literal(other)
        ))
        .await?;
    let Some(found) = batches.iter().find(|batch| batch.num_rows() > 0) else { return Ok(None) };
    let decision = cast(found.column(0), &DataType::Utf8)?;
    Ok(decision.as_string::<i32>().iter().next().flatten().map(str::to_owned))
}

/// When the pair was last decided about, in microseconds since 1970.
async fn newest_instant(session: &Session, [one, other]: [&str; 2]) -> Result<Option<i64>, TrustError> {
    let (one, other) = (literal(one), literal(other));
    let batches = session
        .collect(&format!(
            "select max(cast(at as timestamp)) as at from {SCHEMA}.{IDENTITY_DECISIONS} \
             where (patient_id_a = {one} and patient_id_b = {other}) or (patient_id_a = {other} and patient_id_b = {one})"
        ))
        .await?;
    let Some(found) = batches.iter().find(|batch| batch.num_rows() > 0) else { return Ok(None) };
    let at = cast(found.column(0), &DataType::Timestamp(TimeUnit::Microsecond, None))?;
    Ok(at.as_primitive::<TimestampMicrosecondType>().iter().next().flatten())
}
