//! People's decisions about which patient records are one person: rows of `system.identity_decisions`, which only grows.
//! What follows from them is SQL of the project, which reads the table as a source; it shows after the next build.
//!
//! **What stands for a pair of records:** the newest decision, if it is a merge; otherwise `distinct`, if that was ever
//! decided; otherwise nothing, and the matching rules alone say. An unmerge therefore restores what stood before the merge it
//! takes back. The project's model of the decisions holds the same rule in SQL.

use std::sync::Arc;

use arrow::{
    array::AsArray,
    compute::cast,
    datatypes::{DataType, TimeUnit, TimestampMicrosecondType},
};
use chrono::Utc;
use uuid::Uuid;
use wardlake_access::Viewer;
use wardlake_engine::{ReadState, Session, sql::literal};
use wardlake_load::Workspace;
use wardlake_records::system::{self, IDENTITY_DECISIONS, IdentityRow, SCHEMA};

use crate::error::TrustError;

/// The project's model of persons: every record that can be decided about.
const PERSONS: &str = "silver.int_person";

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
    /// The two records' `patient_id`s, in either order.
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

/// Records a decision about records that `viewer` sees.
///
/// Refused are a record with itself, a record that the newest epoch does not know, an empty actor or reason, and an unmerge
/// where no merge stands.
pub async fn decide_identity(
    workspace: &Workspace,
    viewer: Viewer,
    request: &IdentityRequest,
) -> Result<IdentityOutcome, TrustError> {
    let mut pair = request.patient_ids.each_ref().map(|id| id.trim());
    pair.sort_unstable();
    check(request, pair)?;
    let session = published(workspace, viewer).await?;
    require_known(&session, &request.patient_ids).await?;
    system::ensure_identity(&workspace.lake).await?;
    let earlier = of_pair(&session, pair).await?;
    let standing = standing(&earlier);
    if request.decision == IdentityDecision::Unmerge {
        if standing != Some(IdentityDecision::Merge) {
            return refuse(
                "no decided merge of these two records stands, so there is nothing to take back; records that rules or \
                 A40 events hold for one person are parted by `wardlake identity distinct`",
            );
        }
    } else if standing == Some(request.decision) {
        return Ok(IdentityOutcome::Stands);
    }
    // The order of decisions is that of their instants, also where a clock was set back.
    let newest = earlier.iter().map(|decision| decision.at_us).max().unwrap_or(i64::MIN);
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

/// A session that sees the newest epoch, where the decisions can be read as `system.identity_decisions`.
async fn published(workspace: &Workspace, viewer: Viewer) -> Result<Session, TrustError> {
    let Some(epoch) = workspace.lake.newest_epoch().await? else {
        return refuse("nothing is published yet; run `wardlake build`");
    };
    Ok(workspace.engine.session(viewer, ReadState::Epoch(Arc::new(epoch))).await?)
}

/// One decision, as far as the rules of standing need it.
struct Decided {
    at_us: i64,
    decision: String,
}

/// What stands after these decisions about one pair, oldest first.
fn standing(decisions: &[Decided]) -> Option<IdentityDecision> {
    let is = |decided: &Decided, wanted: IdentityDecision| decided.decision == wanted.as_str();
    if decisions.last().is_some_and(|newest| is(newest, IdentityDecision::Merge)) {
        return Some(IdentityDecision::Merge);
    }
    let was_parted = decisions.iter().any(|decided| is(decided, IdentityDecision::Distinct));
    was_parted.then_some(IdentityDecision::Distinct)
}

fn refuse<T>(message: impl Into<String>) -> Result<T, TrustError> {
    Err(TrustError::Config { message: message.into() })
}

fn check(request: &IdentityRequest, [one, other]: [&str; 2]) -> Result<(), TrustError> {
    if one.is_empty() || one == other {
        return refuse("name two different records by their patient_id");
    }
    if request.actor.trim().is_empty() {
        return refuse("who decides? name a person with --by");
    }
    if request.reason.trim().is_empty() {
        return refuse("why? give a reason with --reason");
    }
    Ok(())
}

/// Refuses a record that no person of the newest epoch has.
async fn require_known(session: &Session, patient_ids: &[String; 2]) -> Result<(), TrustError> {
    if session.schema(&PERSONS.parse()?).await?.is_none() {
        return refuse(format!("the published project has no {PERSONS}, so it has no patient records to decide about"));
    }
    for (place, id) in ["first", "second"].iter().zip(patient_ids) {
        let known = session
            .collect(&format!("select patient_id from {PERSONS} where patient_id = {} limit 1", literal(id.trim())))
            .await?;
        if known.iter().all(|batch| batch.num_rows() == 0) {
            // The id may be a mistyped number of a patient: it is not repeated.
            return refuse(format!(
                "the {place} record (by its patient_id) is not in {PERSONS}; ids are spelled as there, upper and lower case"
            ));
        }
    }
    Ok(())
}

/// The decisions about a pair, oldest first.
async fn of_pair(session: &Session, [one, other]: [&str; 2]) -> Result<Vec<Decided>, TrustError> {
    let (one, other) = (literal(one), literal(other));
    let batches = session
        .collect(&format!(
            "select cast(at as timestamp) as at, cast(decision as varchar) as decision from {SCHEMA}.{IDENTITY_DECISIONS} \
             where (patient_id_a = {one} and patient_id_b = {other}) or (patient_id_a = {other} and patient_id_b = {one}) \
             order by at, decision_id"
        ))
        .await?;
    let mut found = Vec::new();
    for batch in &batches {
        let at = cast(batch.column(0), &DataType::Timestamp(TimeUnit::Microsecond, None))?;
        let decision = cast(batch.column(1), &DataType::Utf8)?;
        let (at, decision) = (at.as_primitive::<TimestampMicrosecondType>(), decision.as_string::<i32>());
        found.extend(
            (0..batch.num_rows()).map(|row| Decided { at_us: at.value(row), decision: decision.value(row).to_owned() }),
        );
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::{Decided, IdentityDecision, standing};

    #[test]
    fn an_unmerge_restores_what_stood_before() {
        use IdentityDecision::{Distinct, Merge};
        for (decisions, expected) in [
            ("", None),
            ("merge", Some(Merge)),
            ("merge unmerge", None),
            ("merge merge unmerge", None),
            ("distinct", Some(Distinct)),
            ("distinct merge", Some(Merge)),
            ("distinct merge unmerge", Some(Distinct)),
            ("merge distinct", Some(Distinct)),
            ("merge unmerge merge", Some(Merge)),
        ] {
            let history: Vec<Decided> = decisions
                .split_whitespace()
                .map(|decision| Decided { at_us: 0, decision: decision.to_owned() })
                .collect();
            assert_eq!(standing(&history), expected, "{decisions}");
        }
    }
}
