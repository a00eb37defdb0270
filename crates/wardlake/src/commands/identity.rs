//! `identity`: which patient records are one person. People decide, models follow.

use clap::{Args, Subcommand};
use wardlake_engine::{ReadState, Session};
use wardlake_load::Workspace;
use wardlake_trust::{IdentityDecision, IdentityOutcome, IdentityRequest, decide_identity};

use super::Outcome;
use crate::{
    args::GlobalArgs,
    failure::Failure,
    open,
    printing::note,
    rows::{self, OutputArgs},
};

/// Review probable duplicates of patients; merge, part and unmerge records
#[derive(Debug, Args)]
pub(crate) struct IdentityArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Pairs of records that may be one person and wait for a decision, the most probable first
    List {
        /// Only pairs of at least this probability
        #[arg(long, default_value_t = 0.0, value_name = "0–1", value_parser = probability)]
        min_score: f64,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Two records are one person: from the next build on they share a person_id
    Merge(DecisionArgs),
    /// Take a decided merge back: the next build gives what was before it
    Unmerge(DecisionArgs),
    /// Two records are two persons, whatever the matching rules say
    Distinct(DecisionArgs),
    /// Every decision, or those about one record, oldest first
    History {
        /// The record, by its patient_id
        patient_id: Option<String>,
        #[command(flatten)]
        output: OutputArgs,
    },
}

#[derive(Debug, Args)]
struct DecisionArgs {
    /// One record, by its patient_id
    #[arg(value_name = "ID")]
    one: String,
    /// The other record
    #[arg(value_name = "OTHER")]
    other: String,
    /// Why; kept with the decision
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Who decides
    #[arg(long, env = "USER", hide_env_values = true, value_name = "NAME")]
    by: Option<String>,
}

fn probability(text: &str) -> Result<f64, String> {
    text.parse::<f64>()
        .ok()
        .filter(|share| (0.0..=1.0).contains(share))
        .ok_or_else(|| "not a number from 0 to 1".to_owned())
}

pub(crate) async fn run(global: &GlobalArgs, args: &IdentityArgs) -> Result<Outcome, Failure> {
    let project = open::project(global, "identity", false)?;
    let workspace = open::quiet_workspace(project).await?;
    match &args.action {
        Action::List { min_score, output } => list(&workspace, *min_score, output).await?,
        Action::Merge(args) => decide(global, &workspace, IdentityDecision::Merge, args).await?,
        Action::Unmerge(args) => decide(global, &workspace, IdentityDecision::Unmerge, args).await?,
        Action::Distinct(args) => decide(global, &workspace, IdentityDecision::Distinct, args).await?,
        Action::History { patient_id, output } => history(&workspace, patient_id.as_deref(), output).await?,
    }
    Ok(Outcome::Done)
}

async fn decide(
    global: &GlobalArgs,
    workspace: &Workspace,
    decision: IdentityDecision,
    args: &DecisionArgs,
) -> Result<(), Failure> {
    let request = IdentityRequest {
        decision,
        patient_ids: [args.one.clone(), args.other.clone()],
        actor: args.by.clone().unwrap_or_default(),
        reason: args.reason.clone(),
    };
    let outcome = decide_identity(workspace, wardlake_load::local_viewer(), &request).await?;
    if !global.quiet {
        match outcome {
            IdentityOutcome::Recorded { decision_id } => {
                let decided = decision.as_str();
                note(format_args!("Recorded {decided} as {decision_id}. It shows after the next `wardlake build`."));
            }
            IdentityOutcome::Stands => note("That stands already; nothing was recorded."),
        }
    }
    Ok(())
}

/// A session on the newest epoch that has the table `schema.name`; `what` makes it.
async fn session_with(workspace: &Workspace, table: &str, what: &str) -> Result<Session, Failure> {
    let state = match table.starts_with("system.") {
        true => ReadState::Working,
        false => open::read_state(workspace, None, false).await?,
    };
    let session = workspace.engine.session(wardlake_load::local_viewer(), state).await?;
    let is_there = session.names().await?.iter().any(|name| name.to_string() == table);
    match is_there {
        true => Ok(session),
        false => Err(Failure::Usage(format!("there is no {table} yet; {what}"))),
    }
}

/// The review queue of the newest epoch, without the pairs decided since: their answer shows after the next build.
async fn list(workspace: &Workspace, min_score: f64, output: &OutputArgs) -> Result<(), Failure> {
    let session =
        session_with(workspace, "gold.list_identity_review", "`wardlake build` of the hospital project makes it")
            .await?;
    let query = session
        .query(&format!(
            "with newest as ( \
               select least(patient_id_a, patient_id_b) as one, greatest(patient_id_a, patient_id_b) as other, decision \
               from system.identity_decisions \
               qualify row_number() over ( \
                 partition by least(patient_id_a, patient_id_b), greatest(patient_id_a, patient_id_b) \
                 order by at desc, decision_id desc) = 1 \
             ) \
             select review.* from gold.list_identity_review as review \
             left join newest on review.patient_id_a = newest.one and review.patient_id_b = newest.other \
             where review.score >= {min_score} \
               and (review.kind = 'contradicted' or newest.decision is null or newest.decision = 'unmerge') \
             order by review.score desc, review.patient_id_a, review.patient_id_b"
        ))
        .await?;
    rows::write(&query, output).await
}

async fn history(workspace: &Workspace, patient_id: Option<&str>, output: &OutputArgs) -> Result<(), Failure> {
    let session = session_with(workspace, "system.identity_decisions", "nobody has decided anything").await?;
    let of_record = patient_id.map_or_else(String::new, |id| {
        let id = id.replace('\'', "''");
        format!("where patient_id_a = '{id}' or patient_id_b = '{id}' ")
    });
    let query = session
        .query(&format!(
            "select decision_id, at, actor, decision, patient_id_a, patient_id_b, reason \
             from system.identity_decisions {of_record}order by at, decision_id"
        ))
        .await?;
    rows::write(&query, output).await
}
