//! `sql`: read the lake.

use std::io::{IsTerminal, Read};

use clap::Args;
use wardlake_engine::EngineError;

use super::Outcome;
use crate::{
    args::GlobalArgs,
    failure::Failure,
    open,
    rows::{self, OutputArgs},
};

/// Run a query on the published tables
#[derive(Debug, Args)]
pub(crate) struct SqlArgs {
    /// The query; standard input if none is given
    // A query may begin with a comment: `--`.
    #[arg(allow_hyphen_values = true)]
    query: Option<String>,
    /// Read an older epoch
    #[arg(long, value_name = "N")]
    epoch: Option<u64>,
    /// Read what builds wrote but did not publish
    #[arg(long, conflicts_with = "epoch")]
    working: bool,
    #[command(flatten)]
    output: OutputArgs,
}

pub(crate) async fn run(global: &GlobalArgs, args: &SqlArgs) -> Result<Outcome, Failure> {
    let text = match &args.query {
        Some(text) => text.clone(),
        None if std::io::stdin().is_terminal() => {
            return Err(Failure::Usage("give a query: wardlake sql \"select 1\"".to_owned()));
        }
        None => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).map_err(Failure::file("standard input".as_ref()))?;
            text
        }
    };
    let sql = text.trim_end().trim_end_matches(';');
    let mut session = open::reader(global, "sql", args.epoch, args.working).await?;
    let mut query = session.query(sql).await;
    if let Err(EngineError::UnknownTable { .. }) = &query
        && let Some(expecting) = open::expecting_reader(global, "sql", args.epoch, args.working).await?
    {
        session = expecting;
        query = session.query(sql).await;
    }
    let query = query.map_err(|error| Failure::of_query(error, sql, sql))?;
    rows::write(&query, &args.output).await?;
    Ok(Outcome::Done)
}
