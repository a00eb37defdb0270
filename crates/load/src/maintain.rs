//! Keeping a whole lake in shape: epochs nobody goes back to are forgotten, rows past their retention deleted, small files merged, files and
//! log entries that nobody can read any more deleted, for every table there is. A server does it beside its waves, `wardlake maintain` without
//! one.
//!
//! What readers need stays: the newest version of each table, every version that a kept epoch names, the log entries behind what the
//! slowest model of the project has consumed, and those of loads that the load log does not have yet.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, SystemTime},
};

use chrono::{DateTime, TimeDelta, Utc};
use wardlake_access::{SystemReason, Viewer};
use wardlake_core::TableName;
use wardlake_engine::{ReadState, Session};
use wardlake_project::ResourceType;
use wardlake_records::{UpkeepReport, findings, quarantine, system};
use wardlake_storage::{
    COUNTED_ON, Commit, Epoch, EpochDraft, Expiry, LogReaders, OptimizeSpec, StorageError, TableSnapshot, VacuumGrace,
};

use crate::{
    Ownership, Workspace,
    error::LoadError,
    ingest::LoadLog,
    old_epochs::{self, SETTLED_EPOCHS},
};

/// So many files alike in size are merged.
pub(crate) const MERGED_FILES: usize = 16;
/// Files are merged up to this size: a merge is over in seconds, and ten million rows are some twenty files.
pub(crate) const MERGED_BYTES: u64 = 32 << 20;
/// Epochs that are looked at in one go.
pub(crate) const EPOCHS_AT_ONCE: usize = 2_000;
/// Files that no kept version names are deleted so long after they were removed, and after a day if no version ever named them: longer
/// than any read or write takes. Log entries stay as long as removed files do.
pub const GRACE: VacuumGrace =
    VacuumGrace { removed: Duration::from_secs(60 * 60), unnamed: Duration::from_secs(24 * 60 * 60), is_alone: false };

/// A row may outlive its retention by that part of it: a file that holds others as well is rewritten so often.
const OVERDUE: i32 = 10;

/// What is asked of one pass.
#[derive(Clone, Debug, Default)]
pub struct MaintainOptions {
    /// Says what would be deleted, and does nothing.
    pub dry_run: bool,
    /// Tables whose small files somebody else merges.
    pub merged_elsewhere: BTreeSet<TableName>,
    /// When nobody else had the lake open ([`wardlake_storage::Lake::alone_at`]), of who writes nothing beside this pass: what was half
    /// written then waits for nobody.
    pub alone_at: Option<SystemTime>,
    /// Room is short: no files are merged, which takes room before it gives some.
    pub frees_only: bool,
}

impl MaintainOptions {
    fn grace(&self) -> VacuumGrace {
        let alone = self.alone_at.and_then(|at| at.elapsed().ok());
        let unnamed = alone.map_or(GRACE.unnamed, |since| GRACE.unnamed.min(since + CLOCKS_APART));
        VacuumGrace { unnamed, is_alone: alone.is_some(), ..GRACE }
    }
}

/// Files are stamped by a clock that is behind by up to so much.
const CLOCKS_APART: Duration = Duration::from_millis(20);

/// Who reads what of each table.
struct Readers {
    /// Versions that epochs name, with when the newest of those that say so was published.
    published: BTreeMap<TableName, BTreeMap<u64, DateTime<Utc>>>,
    /// The version up to which the slowest model has consumed a table.
    consumed: BTreeMap<TableName, u64>,
}

/// One pass over the lake: what was done, and what failed. That is left to a later pass, and keeps nothing else from being done.
pub async fn maintain(workspace: &Workspace, options: &MaintainOptions) -> (UpkeepReport, Vec<LoadError>) {
    let (mut report, mut failures) = (UpkeepReport::default(), Vec::new());
    if let Err(error) = pass(workspace, options, &mut report, &mut failures).await {
        failures.push(error);
    }
    (report, failures)
}

/// Where it is kept when the last pass of a command was.
const KEPT: &str = "_state/maintained.json";
/// A lake that only commands touch is kept in shape so often.
pub const EVERY: chrono::Duration = chrono::Duration::hours(20);

/// The pass of a day, if the last one is long enough ago and no server does it by itself, or at once where an earlier command was broken off
/// and left half-written files. A new lake has its first after a day. For a command that has written all that it had to.
pub async fn maintain_if_due(workspace: &Workspace) -> Result<Option<(UpkeepReport, Vec<LoadError>)>, LoadError> {
    let lake = &workspace.lake;
    let is_left = lake.is_alone() && lake.broken_off()? > 0;
    let kept = KEPT.into();
    let last = lake.get(&kept).await?;
    // A note that cannot be read is written anew, as in a new lake: the next pass is in a day.
    let last = last.and_then(|bytes| serde_json::from_slice::<DateTime<Utc>>(&bytes).ok());
    let now = serde_json::json!(Utc::now()).to_string();
    if !is_left && last.is_none_or(|last| (Utc::now() - last).abs() < EVERY) {
        if last.is_none() {
            lake.put(&kept, now).await?;
        }
        lake.end_writing(false)?;
        return Ok(None);
    }
    let owner = match Ownership::take(lake, None).await {
        Ok(owner) => owner,
        Err(LoadError::Owned { .. }) => {
            lake.end_writing(false)?;
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let alone_at = lake.alone_at();
    let done = maintain(workspace, &MaintainOptions { alone_at, ..MaintainOptions::default() }).await;
    lake.put(&kept, now).await?;
    owner.give_up().await;
    if alone_at.is_none() {
        lake.end_writing(false)?;
    }
    Ok(Some(done))
}

async fn pass(
    workspace: &Workspace,
    options: &MaintainOptions,
    report: &mut UpkeepReport,
    failures: &mut Vec<LoadError>,
) -> Result<(), LoadError> {
    let lake = &workspace.lake;
    // Before the look that is noted: at the first pass of a process what another one noted counts once.
    let counted_on = lake.settled_time(COUNTED_ON, false).await?;
    let settled_at = lake.settled_time(GRACE.removed, !options.dry_run).await?;
    if let Some(settled_at) = settled_at.filter(|_| !options.dry_run) {
        loop {
            let forgotten = lake.thin_epochs(SETTLED_EPOCHS, settled_at, EPOCHS_AT_ONCE).await?;
            report.epochs_forgotten += forgotten;
            if forgotten == 0 {
                break;
            }
        }
    }
    match old_epochs::forget(workspace, counted_on, settled_at, options.dry_run).await {
        Ok(forgotten) => report.epochs_forgotten += forgotten,
        Err(error) => failures.push(error),
    }
    let readers = Readers { published: lake.published_versions().await?, consumed: consumed(workspace).await? };
    let loads = LoadLog::read(workspace).await?;
    let viewer = Viewer::System(SystemReason::Maintenance);
    let session = workspace.engine.recurring_session(viewer, ReadState::Working)?;
    let mut merged = Merged::default();
    for table in lake.table_names().await? {
        let _turn = workspace.engine.turn().await;
        let one =
            Table { workspace, options, settled_at, readers: &readers, loads: &loads, session: &session, name: &table };
        match one.maintain(report).await {
            Ok(version) => version.into_iter().for_each(|version| merged.note(&table, version)),
            Err(error) => failures.push(error),
        }
    }
    merged.show(workspace).await?;
    let mut swept = vec![lake.sweep(options.grace(), options.dry_run).await?];
    for name in own_tables(workspace)? {
        swept.push(lake.sweep_unborn(&name, options.grace(), options.dry_run).await?);
    }
    for swept in swept {
        report.count(swept.files.len(), swept.bytes);
    }
    if options.alone_at.is_some() && !options.dry_run && failures.is_empty() {
        lake.end_writing(true)?;
    }
    Ok(())
}

/// The tables that only we write, whether they are there or not: those of the project, and what lies in the schemas of our own records.
fn own_tables(workspace: &Workspace) -> Result<BTreeSet<TableName>, LoadError> {
    let nodes = workspace.project.nodes().values().map(|node| &node.relation);
    let sources = workspace.project.sources().values().map(|source| &source.relation);
    let mut tables: BTreeSet<TableName> = nodes.chain(sources).filter_map(|relation| relation.table_name()).collect();
    let Some(lake) = workspace.lake.local_path() else { return Ok(tables) };
    for schema in [system::SCHEMA, quarantine::SCHEMA, findings::SCHEMA] {
        let path = lake.join(schema);
        let failed = |source| StorageError::Io { action: "list", path: path.display().to_string(), source };
        let folders = match std::fs::read_dir(&path) {
            Ok(folders) => folders,
            // Nothing was ever kept there.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(failed(error).into()),
        };
        for folder in folders {
            let name = folder.map_err(failed)?.file_name().to_string_lossy().into_owned();
            // What is called otherwise is no table, and not ours.
            tables.extend(TableName::new(schema, name));
        }
    }
    Ok(tables)
}

/// Tables whose files were merged, and between which versions the rows are the same: the one before the first merge that no epoch shows, and
/// the one after the last.
#[derive(Debug, Default)]
pub(crate) struct Merged(BTreeMap<TableName, (u64, u64)>);

impl Merged {
    /// Notes that `version` has the rows of the one before it, in other files.
    pub(crate) fn note(&mut self, table: &TableName, version: u64) {
        let same = self.0.entry(table.clone()).or_insert((version.saturating_sub(1), version));
        *same = if same.1 + 1 == version { (same.0, version) } else { (version.saturating_sub(1), version) };
    }

    /// The newest epoch names the merged files in place of the small ones, which would otherwise stay for as long as nothing else of these tables
    /// is published. The rows are the same. What an epoch does not name yet, as its wave is not done, is left to the next call.
    pub(crate) async fn show(&mut self, workspace: &Workspace) -> Result<(), LoadError> {
        if self.0.is_empty() {
            return Ok(());
        }
        let mut shown = BTreeMap::new();
        let over = |newest: Option<&Epoch>| {
            let newest = newest?;
            let mut tables = newest.tables.clone();
            for (name, (first, last)) in &self.0 {
                tables.entry(name.clone()).and_modify(|version| {
                    let now = *version;
                    if (*first..*last).contains(&now) {
                        *version = *last;
                    }
                });
            }
            shown.clone_from(&tables);
            (tables != newest.tables).then(|| EpochDraft {
                run_id: workspace.run_id.clone(),
                tables,
                views: newest.views.clone(),
                gates: newest.gates.clone(),
                rollback_of: None,
                withdrawn: newest.withdrawn.clone(),
            })
        };
        workspace.lake.publish_over(over).await?;
        self.0.retain(|name, (first, _)| shown.get(name).is_none_or(|version| *version < *first));
        Ok(())
    }
}

/// Per table the version up to which every model that reads its changes has consumed it.
async fn consumed(workspace: &Workspace) -> Result<BTreeMap<TableName, u64>, LoadError> {
    let mut slowest: BTreeMap<TableName, u64> = BTreeMap::new();
    let incremental = workspace
        .project
        .nodes()
        .values()
        .filter(|node| node.resource_type == ResourceType::Model && node.config.materialized == "incremental");
    for name in incremental.filter_map(|node| node.relation.table_name()) {
        let Some(snapshot) = workspace.lake.snapshot(&name, None).await? else { continue };
        for (app_id, version) in snapshot.consumed_all().await? {
            // What is no name of a table was noted by others, of no table here.
            let Some(upstream) = app_id.strip_prefix("table:").and_then(|name| name.parse().ok()) else { continue };
            let version = version.unsigned_abs();
            slowest.entry(upstream).and_modify(|least| *least = version.min(*least)).or_insert(version);
        }
    }
    Ok(slowest)
}

/// One table of a pass.
struct Table<'a> {
    workspace: &'a Workspace,
    options: &'a MaintainOptions,
    /// By this time rows grow old ([`wardlake_storage::Lake::settled_time`]).
    settled_at: Option<DateTime<Utc>>,
    readers: &'a Readers,
    loads: &'a LoadLog,
    session: &'a Session,
    name: &'a TableName,
}

impl Table<'_> {
    /// The version with merged files, if any were.
    async fn maintain(&self, report: &mut UpkeepReport) -> Result<Option<u64>, LoadError> {
        let (lake, name) = (&self.workspace.lake, self.name);
        let Some(snapshot) = lake.snapshot(name, None).await? else { return Ok(None) };
        let mut merged = None;
        if !self.options.dry_run && !self.options.frees_only {
            if !self.options.merged_elsewhere.contains(name)
                && let Some(version) = self.merge(&snapshot).await?
            {
                report.merged.push(name.to_string());
                merged = Some(version);
            }
            lake.checkpoint_if_due(name).await?;
        }
        let published = self.readers.published.get(name);
        let versions = || published.into_iter().flatten();
        // Of younger epochs nothing was removed for longer than the grace. One of tomorrow is of a clock that was ahead.
        let now = Utc::now();
        let young = now - GRACE.removed..=now;
        let kept = versions().filter(|(_, at)| !young.contains(*at)).map(|(version, _)| *version).collect();
        let vacuumed = lake.vacuum(name, self.options.grace(), &kept, self.options.dry_run).await?;
        report.count(vacuumed.files.len(), vacuumed.bytes);
        if !self.loads.lacks(&snapshot.consumed_all().await?) {
            let readers = LogReaders {
                versions: versions().map(|(version, _)| *version).collect(),
                changes_since: self.readers.consumed.get(name).copied(),
            };
            let cleaned = lake.clean_log(name, &readers, GRACE.removed, self.options.dry_run).await?;
            report.count(cleaned.files.len(), cleaned.bytes);
        }
        // Behind what only deletes: this takes room, which there may be none of.
        self.expire(report).await?;
        Ok(merged)
    }

    /// Rows of the lake's own tables go by age, and what their ledgers say of runs of long ago.
    async fn expire(&self, report: &mut UpkeepReport) -> Result<(), LoadError> {
        let (lake, name, options) = (&self.workspace.lake, self.name, self.options);
        if let Some(hours) = system::ledger_hours(name).filter(|_| !options.dry_run) {
            lake.expire_ledger(name, hours).await?;
        }
        if name.schema() != system::SCHEMA {
            return Ok(());
        }
        let keeping = &self.workspace.project.target().keeping;
        let Some((column, days)) = system::retention(keeping, name.name()) else { return Ok(()) };
        let Some(settled_at) = self.settled_at else { return Ok(()) };
        let Some(snapshot) = lake.snapshot(name, None).await? else { return Ok(()) };
        let retention = TimeDelta::days(i64::from(days));
        let expiry = Expiry { column, before: settled_at - retention, overdue: retention / OVERDUE };
        let state = self.session.context().state();
        let rows = lake.expire(&state, &snapshot, expiry, options.dry_run).await?;
        if rows > 0 {
            report.expired.insert(name.to_string(), rows);
        }
        Ok(())
    }

    /// The version with merged files, if there was anything to merge.
    async fn merge(&self, snapshot: &TableSnapshot) -> Result<Option<u64>, LoadError> {
        if snapshot.files().len() < MERGED_FILES {
            return Ok(None);
        }
        let spec = OptimizeSpec { target_bytes: MERGED_BYTES, alike: Some(MERGED_FILES), held: self.session.held() };
        let state = self.session.context().state();
        let outcome = self.workspace.lake.optimize(&state, snapshot, spec, Commit::default()).await?;
        Ok(outcome.map(|outcome| outcome.version()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merges_one_behind_the_other_are_one_and_rows_between_them_begin_anew() {
        let table: TableName = "bronze.events".parse().unwrap();
        let mut merged = Merged::default();
        let mut noted = |version| {
            merged.note(&table, version);
            merged.0[&table]
        };
        assert_eq!([5, 6, 9].map(&mut noted), [(4, 5), (4, 6), (8, 9)]);
    }
}
