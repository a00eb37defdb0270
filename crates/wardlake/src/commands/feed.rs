//! `feed`: deliveries that could not be loaded; seeing them, and sending them through again.

use clap::{Args, Subcommand};
use serde_json::json;
use wardlake_engine::ReadState;
use wardlake_load::{
    Changes, Ownership, ReplayOptions, Replayed, Workspace, local_viewer, payloads, publish, replay, require_feed,
    set_aside,
};
use wardlake_records::RunEvent;
use wardlake_serve::Errand;

use super::Outcome;
use crate::{
    args::{GlobalArgs, WaitArgs},
    failure::Failure,
    handed,
    open::{self, Opened},
    printing::{out, raw_bytes, safe_line},
    rows::{self, OutputArgs},
};

/// See deliveries that were set aside because they could not be loaded, and send them through again
#[derive(Debug, Args)]
pub(crate) struct FeedArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// What is set aside: of which feed, its number there, since when and why
    List {
        #[command(flatten)]
        output: OutputArgs,
    },
    /// One delivery: what is known of it, and what was delivered
    Show {
        /// Its number, as `feed list` shows it
        number: String,
        /// The feed, SOURCE.TABLE, if several have a delivery of that number
        #[arg(long, value_name = "NAME")]
        feed: Option<String>,
        /// What was delivered alone, byte by byte
        #[arg(long)]
        raw: bool,
    },
    /// Send deliveries through again, by the settings of now: each is loaded once, or set aside again with the new reason
    Replay {
        /// Their numbers, as `feed list` shows them
        #[arg(required_unless_present = "all", conflicts_with = "all", value_name = "NUMBER")]
        numbers: Vec<String>,
        /// All that are set aside
        #[arg(long)]
        all: bool,
        /// Those of this feed, SOURCE.TABLE
        #[arg(long, value_name = "NAME")]
        feed: Option<String>,
        #[command(flatten)]
        wait: WaitArgs,
    },
}

pub(crate) async fn run(global: &GlobalArgs, args: &FeedArgs) -> Result<Outcome, Failure> {
    match &args.action {
        Action::List { output } => list(global, output).await,
        Action::Show { number, feed, raw } => {
            let options = ReplayOptions { feed: feed.clone(), numbers: vec![number.clone()] };
            show(global, &options, *raw).await
        }
        Action::Replay { numbers, feed, wait, .. } => {
            send_again(global, ReplayOptions { feed: feed.clone(), numbers: numbers.clone() }, wait).await
        }
    }
}

async fn list(global: &GlobalArgs, output: &OutputArgs) -> Result<Outcome, Failure> {
    let workspace = open::quiet_workspace(open::project(global, "feed", false)?).await?;
    let session = workspace.engine.session(local_viewer(), ReadState::Working).await?;
    let sql = wardlake_load::set_aside_sql(&workspace.lake).await?;
    rows::write(&session.query(&sql).await?, output).await?;
    Ok(Outcome::Done)
}

async fn show(global: &GlobalArgs, options: &ReplayOptions, raw: bool) -> Result<Outcome, Failure> {
    let workspace = open::quiet_workspace(open::project(global, "feed", false)?).await?;
    if let Some(feed) = &options.feed {
        require_feed(&workspace, feed).await?;
    }
    let deliveries = set_aside(&workspace, options).await?;
    for (delivery, payload) in deliveries.iter().zip(payloads(&workspace, &deliveries).await?) {
        if raw {
            raw_bytes(&payload)?;
            continue;
        }
        for (name, value) in delivery.facts() {
            out(format_args!("{name:<12} {}", safe_line(&value)))?;
        }
        out("")?;
        out(String::from_utf8_lossy(&payload))?;
    }
    Ok(Outcome::Done)
}

async fn send_again(global: &GlobalArgs, options: ReplayOptions, wait: &WaitArgs) -> Result<Outcome, Failure> {
    let opened = Opened::open(global, open::project(global, "feed", false)?).await?;
    let done = hand_over_or_replay(&opened.workspace, options, wait).await;
    opened.close().await;
    Ok(if done? { Outcome::Done } else { Outcome::Failed })
}

/// Lets the server that has the lake do it, or does it here while no server has it.
async fn hand_over_or_replay(workspace: &Workspace, options: ReplayOptions, wait: &WaitArgs) -> Result<bool, Failure> {
    if let Some(feed) = &options.feed {
        require_feed(workspace, feed).await?;
    }
    let errand = Errand::Replay(options.clone());
    let tell = |event| workspace.events.tell(event);
    if let Some(is_success) = handed::to_server(workspace, &errand, wait.wait, tell).await? {
        return Ok(is_success);
    }
    let owner = Ownership::take(&workspace.lake, None).await?;
    let done = replay_and_publish(workspace, &options).await;
    owner.give_up().await;
    done
}

async fn replay_and_publish(workspace: &Workspace, options: &ReplayOptions) -> Result<bool, Failure> {
    let base = workspace.lake.newest_epoch().await?.map(|epoch| epoch.tables).unwrap_or_default();
    let Replayed { moved, is_success } = replay(workspace, options).await?;
    let changes = Changes { tables: moved, ..Changes::default() };
    if let Some(epoch) = publish(workspace, &base, changes, json!({"command": "feed replay"})).await? {
        workspace.events.tell(RunEvent::EpochPublished { epoch });
    }
    Ok(is_success)
}
