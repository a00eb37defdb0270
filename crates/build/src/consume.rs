//! `changes(ref('x'))`: the rows of x that a model has not consumed. What it consumed is a ledger entry of its own commit, so
//! a run that was killed takes the same rows again, and one that committed never does.

use std::sync::Arc;

use wardlake_core::{LedgerEntry, TableName};
use wardlake_project::Compiled;

use crate::{context::BuildContext, error::BuildError};

/// What a run of a model consumes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Consumed {
    /// The upstream tables at the versions that are read.
    pub(crate) ledger: Vec<LedgerEntry>,
}

/// The ledger's name of an upstream table.
fn entry(upstream: &TableName, version: u64) -> LedgerEntry {
    LedgerEntry::new(format!("table:{upstream}"), i64::try_from(version).unwrap_or(i64::MAX))
}

/// Puts what is new of each relation the model asks the changes of before the session, under the name the compiled SQL
/// reads, and says what the model's commit has to note.
pub(crate) async fn open(
    context: &Arc<BuildContext>,
    target: &TableName,
    compiled: &Compiled,
    is_incremental: bool,
) -> Result<Consumed, BuildError> {
    let mut consumed = Consumed::default();
    if compiled.changes.is_empty() {
        return Ok(consumed);
    }
    let before = if is_incremental { context.workspace.lake.head(target).await? } else { None };
    for changes in &compiled.changes {
        let names = changes.of.table_name().zip(changes.read_as.table_name());
        let Some((upstream, read_as)) = names else { continue };
        let Some(head) = context.session.head(&upstream).await? else {
            return Err(BuildError::Config {
                message: format!(
                    "{target}: changes() needs a table with versions, and {upstream} is none; materialize it as table or \
                     incremental, or load it first"
                ),
            });
        };
        let mut entry = entry(&upstream, head.version());
        let from = match &before {
            Some(before) => before.consumed(&entry.app_id).await?,
            None => None,
        };
        if let Some(from) = from.filter(|from| *from > entry.version) {
            // Beside a server a wave may have taken more than this run sees: then nothing is left for it.
            let newest = context.workspace.lake.newest_version(&upstream).await?;
            if newest.is_none_or(|newest| i64::try_from(newest).is_ok_and(|newest| newest < from)) {
                return Err(BuildError::Config {
                    message: format!(
                        "{target}: {upstream} was made anew or set back since this model read it; run it with --full-refresh"
                    ),
                });
            }
            entry.version = from;
        }
        let seen = from.map(|from| from.unsigned_abs().min(head.version()));
        context.session.overlay_appended(read_as, &head, seen).await?;
        consumed.ledger.push(entry);
    }
    Ok(consumed)
}

/// Puts the rows that a model looks up by key before the session, under the name the compiled SQL reads. The keys may be those of
/// changes.
pub(crate) async fn look_up(context: &Arc<BuildContext>, compiled: &Compiled) -> Result<(), BuildError> {
    for lookup in &compiled.lookups {
        let names = lookup.of.table_name().zip(lookup.read_as.table_name());
        let Some((of, read_as)) = names else { continue };
        let Some(head) = context.session.head(&of).await? else {
            return Err(BuildError::Config {
                message: format!("matching() needs a table, and {of} is none; materialize it as table or incremental"),
            });
        };
        context.session.overlay_matching(read_as, &head, &lookup.columns, &lookup.keys).await?;
    }
    Ok(())
}
