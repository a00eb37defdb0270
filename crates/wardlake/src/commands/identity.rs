//! `identity`: which patient records are one person. People decide, models follow.

use clap::{Args, Subcommand};
use wardlake_engine::{ReadState, sql::literal};
use wardlake_load::Workspace;
use wardlake_trust::{IdentityDecision, IdentityOutcome, IdentityRequest, decide_identity, identity_review};

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

async fn list(workspace: &Workspace, min_score: f64, output: &OutputArgs) -> Result<(), Failure> {
    rows::write(&identity_review(workspace, wardlake_load::local_viewer(), min_score).await?, output).await
}

async fn history(workspace: &Workspace, patient_id: Option<&str>, output: &OutputArgs) -> Result<(), Failure> {
    let session = workspace.engine.session(wardlake_load::local_viewer(), ReadState::Working).await?;
    let of_record = patient_id.map_or_else(String::new, |id| {
        let id = literal(id);
        format!("where patient_id_a = {id} or patient_id_b = {id} ")
    });
    let query = session
        .query(&format!(
            "select decision_id, at, actor, decision, patient_id_a, patient_id_b, reason \
             from system.identity_decisions {of_record}order by at, decision_id"
        ))
        .await?;
    rows::write(&query, output).await
}
