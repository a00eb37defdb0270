//! `changes(ref('x'))`: the rows of x that a model has not consumed. What it consumed is a ledger entry of its own commit, so
//! a run that was killed takes the same rows again, and one that committed never does.

use std::{collections::BTreeMap, sync::Arc};

use wardlake_core::{LedgerEntry, TableName};
use wardlake_project::Compiled;
use wardlake_storage::TableSnapshot;

use crate::{context::BuildContext, error::BuildError};

/// What a run of a model consumes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Consumed {
    /// The upstream tables at the versions that are read.
    pub(crate) ledger: Vec<LedgerEntry>,
    /// Where the model's ledger has to stand still when its new rows are committed. Otherwise another run took some of them meanwhile.
    pub(crate) follows: Vec<(String, Option<i64>)>,
    /// Which tables those versions are of, where the model's ledger does not say so yet.
    pub(crate) tables: Vec<LedgerEntry>,
}

/// The upstream tables as a run of a model first saw them. Begun anew it reads no further: what moves faster than it runs it would
/// never be done with.
pub(crate) type Upstream = BTreeMap<TableName, TableSnapshot>;

/// The ledger's name of an upstream table.
fn entry(upstream: &TableName, version: u64) -> LedgerEntry {
    LedgerEntry::new(format!("table:{upstream}"), i64::try_from(version).unwrap_or(i64::MAX))
}

/// Which table the upstream's name stands for: versions of one that was made anew are counted from 0 again.
fn table_entry(upstream: &TableSnapshot) -> LedgerEntry {
    // A ledger holds numbers: the id's FNV-1a hash, one bit shorter.
    let hash = upstream
        .table_id()
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    LedgerEntry::new(format!("id:{}", upstream.name()), i64::try_from(hash >> 1).unwrap_or(i64::MAX))
}

/// Puts what is new of each relation the model asks the changes of before the session, under the name the compiled SQL
/// reads, and says what the model's commit has to note.
pub(crate) async fn open(
    context: &Arc<BuildContext>,
    target: &TableName,
    compiled: &Compiled,
    is_incremental: bool,
    upstream: &mut Upstream,
) -> Result<Consumed, BuildError> {
    let mut consumed = Consumed::default();
    if compiled.changes.is_empty() {
        return Ok(consumed);
    }
    let before = context.workspace.lake.snapshot(target, None).await?;
    for changes in &compiled.changes {
        let names = changes.of.table_name().zip(changes.read_as.table_name());
        let Some((of, read_as)) = names else { continue };
        let Some(mut head) = seen(context, &of, upstream).await? else {
            // No ledger entry speaks of a source of which nothing was ever loaded: its first rows are news.
            if context.session.overlay_missing(read_as, &of).await? {
                continue;
            }
            return Err(BuildError::ChangesOfNoTable { target: target.clone(), upstream: of });
        };
        let mut entry = entry(&of, head.version());
        let table = table_entry(&head);
        let (from, known) = match &before {
            Some(before) => (before.consumed(&entry.app_id).await?, before.consumed(&table.app_id).await?),
            None => (None, None),
        };
        let is_another = known.is_some_and(|known| known != table.version);
        if !is_incremental || known.is_none() {
            consumed.tables.push(table);
        }
        // Beside a server a wave may have taken more than this run sees.
        let ahead = from.filter(|from| *from > entry.version && !is_another);
        if !is_incremental {
            // Rows that the model has are ahead of no gate: made anew, it has them as well.
            if let Some(then) = ahead_of(context, &of, ahead).await? {
                entry.version = ahead.unwrap_or(entry.version);
                head = then;
            }
            context.session.overlay_appended(read_as, &head, None).await?;
            consumed.ledger.push(entry);
            continue;
        }
        let newest = match ahead {
            Some(_) => context.workspace.lake.newest_version(&of).await?,
            None => Some(head.version()),
        };
        let is_set_back = ahead > newest.and_then(|newest| i64::try_from(newest).ok());
        if is_another || is_set_back {
            return Err(BuildError::UpstreamReset { target: target.clone(), upstream: of });
        }
        match ahead {
            // Nothing is left for this run.
            Some(from) => entry.version = from,
            None if from == Some(entry.version) => {}
            None => consumed.follows.push((entry.app_id.clone(), from)),
        }
        let seen = from.map(|from| from.unsigned_abs().min(head.version()));
        context.session.overlay_appended(read_as, &head, seen).await?;
        consumed.ledger.push(entry);
    }
    Ok(consumed)
}

/// An upstream table, as the run saw it first; none where there is no such table.
async fn seen(
    context: &BuildContext,
    of: &TableName,
    upstream: &mut Upstream,
) -> Result<Option<TableSnapshot>, BuildError> {
    if let Some(head) = upstream.get(of) {
        return Ok(Some(head.clone()));
    }
    let head = context.session.snapshot(of).await?;
    if let Some(head) = &head {
        upstream.insert(of.clone(), head.clone());
    }

    Ok(head)
}

/// An upstream table at a version that a model has consumed; none if it was made anew since.
async fn ahead_of(
    context: &BuildContext,
    of: &TableName,
    version: Option<i64>,
) -> Result<Option<TableSnapshot>, BuildError> {
    let lake = &context.workspace.lake;
    let Some(version) = version.and_then(|version| u64::try_from(version).ok()) else { return Ok(None) };
    match lake.newest_version(of).await? {
        Some(newest) if newest >= version => Ok(lake.snapshot(of, Some(version)).await?),
        _ => Ok(None),
    }
}

/// Puts the rows that a model looks up by key before the session, under the name the compiled SQL reads. The keys may be those of
/// changes.
pub(crate) async fn look_up(context: &Arc<BuildContext>, compiled: &Compiled) -> Result<(), BuildError> {
    for lookup in &compiled.lookups {
        let names = lookup.of.table_name().zip(lookup.read_as.table_name());
        let Some((of, read_as)) = names else { continue };
        let Some(head) = context.session.snapshot(&of).await? else {
            if context.session.overlay_missing(read_as, &of).await? {
                continue;
            }
            return Err(BuildError::MatchingNoTable { upstream: of });
        };
        context.session.overlay_matching(read_as, &head, &lookup.columns, &lookup.keys).await?;
    }
    Ok(())
}
