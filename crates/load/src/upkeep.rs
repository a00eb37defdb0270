//! Keeping the tables of a running server in shape, a little at a time: small files are merged, epochs nobody goes back to are
//! forgotten, files nobody can read any more are deleted. Readers hold an epoch and are never disturbed.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Instant,
};

use chrono::{DateTime, TimeDelta, Utc};
use wardlake_access::{SystemReason, Viewer};
use wardlake_core::TableName;
use wardlake_engine::ReadState;
use wardlake_project::{Node, UniqueId};
use wardlake_records::{RunEvent, UpkeepReport};
use wardlake_storage::{Commit, Lake, OptimizeSpec};

use crate::{
    MaintainOptions, Workspace,
    error::LoadError,
    maintain::{EPOCHS_AT_ONCE, GRACE, MERGED_BYTES, MERGED_FILES, Merged, maintain},
    old_epochs::SETTLED_EPOCHS,
};

/// A table that is trimmed is so, or its files are merged, when it has so many of them.
const TRIMMED_FILES: usize = 40;
/// The whole lake is kept in shape so often, by the machine's clock: what is deleted grows old by it.
pub const MAINTAIN_EVERY: TimeDelta = TimeDelta::minutes(10);
/// A table that is trimmed is so when it has so many times the rows it was left with: what a row costs does not depend on how many
/// there are.
const TRIM_GROWTH: u64 = 2;

/// The checkpoints of the tables that grow with every wave.
pub struct Checkpoints {
    lake: Arc<Lake>,
    tables: BTreeSet<TableName>,
}

impl Checkpoints {
    /// Writes those that are due, and gives back what failed.
    pub async fn write(&self) -> Vec<LoadError> {
        let mut failures = Vec::new();
        for table in &self.tables {
            failures.extend(self.lake.checkpoint_if_due(table).await.err().map(LoadError::from));
        }
        failures
    }
}

/// Keeps the tables in shape that grow with every wave.
pub struct Upkeep {
    workspace: Workspace,
    /// When the whole lake was kept in shape last.
    maintained_at: Option<DateTime<Utc>>,
    tables: BTreeSet<TableName>,
    /// Of tables whose models say so (`meta: {wardlake: {trimmed_to: …}}`): the view that shows the rows that stay.
    views: BTreeMap<TableName, TableName>,
    /// The rows that tables were left with.
    left: BTreeMap<TableName, u64>,
    /// Of tables whose files were merged, as long as no epoch shows it: between which versions the rows are the same.
    merged: Merged,
}

impl Upkeep {
    /// Upkeep of the tables of `models` and of `sources`; what it tells, it tells as `workspace`.
    pub fn new(workspace: Workspace, models: &[&Node], sources: impl Iterator<Item = TableName>) -> Self {
        let relation = |id: &UniqueId| workspace.project.node(id).and_then(|node| node.relation.table_name());
        let views = models
            .iter()
            .filter_map(|node| node.relation.table_name().zip(node.trimmed_to.as_ref().and_then(relation)))
            .collect();
        let tables = models.iter().filter_map(|node| node.relation.table_name()).chain(sources).collect();
        workspace.lake.note_costs(MERGED_BYTES / 2);
        Self { workspace, maintained_at: None, tables, views, left: BTreeMap::new(), merged: Merged::default() }
    }

    /// One round: merging often, deleting seldom, and with the first, for a server may be started over and over. Tells what it did, if it did
    /// anything, and gives back what failed: that is left to a later round, and keeps nothing else from being done.
    pub async fn round(&mut self) -> Vec<LoadError> {
        let (started, now) = (Instant::now(), Utc::now());
        let mut report = UpkeepReport::default();
        let mut failures = self.tidy(&mut report).await;
        self.tell(report, started);
        // A clock that was set back is due as well.
        if self.maintained_at.is_none_or(|last| (now - last).abs() >= MAINTAIN_EVERY) {
            let (mut report, started) = (UpkeepReport::default(), Instant::now());
            failures.extend(self.maintain(false, &mut report).await);
            self.maintained_at = Some(now);
            self.tell(report, started);
        }
        failures
    }

    /// When a pass over the whole lake began last, if one has ended.
    pub fn maintained_at(&self) -> Option<DateTime<Utc>> {
        self.maintained_at
    }

    /// Room is short: what may go goes now, and nothing is merged.
    pub async fn free(&mut self) -> Vec<LoadError> {
        let (started, now) = (Instant::now(), Utc::now());
        let mut report = UpkeepReport::default();
        let failures = self.maintain(true, &mut report).await;
        self.maintained_at = Some(now);
        self.tell(report, started);
        failures
    }

    fn tell(&self, report: UpkeepReport, started: Instant) {
        if report != UpkeepReport::default() {
            let duration_s = started.elapsed().as_secs_f64();
            self.workspace.events.tell(RunEvent::UpkeepFinished { report, duration_s });
        }
    }

    /// Beside the rounds, which wait for their turns: a checkpoint of each table to which so much was committed since the last that the next
    /// reader would have much to read.
    pub fn checkpoints(&self) -> Checkpoints {
        Checkpoints { lake: Arc::clone(&self.workspace.lake), tables: self.tables.clone() }
    }

    /// Merges small files, trims tables, and forgets epochs nobody goes back to.
    async fn tidy(&mut self, report: &mut UpkeepReport) -> Vec<LoadError> {
        let mut failures = Vec::new();
        for table in self.tables.clone() {
            failures.extend(self.tidy_table(&table, report).await.err());
        }
        // A wave that comes later names the merged files of the tables that it writes. Of the others, and where none comes, this does.
        failures.extend(self.merged.show(&self.workspace).await.err());
        match self.thin_epochs().await {
            Ok(epochs) => report.epochs_forgotten = epochs,
            Err(error) => failures.push(error),
        }
        failures
    }

    /// What time is settled is noted by the passes over the whole lake.
    async fn thin_epochs(&self) -> Result<usize, LoadError> {
        let lake = &self.workspace.lake;
        let Some(settled_at) = lake.settled_time(GRACE.removed, false).await? else { return Ok(0) };
        Ok(lake.thin_epochs(SETTLED_EPOCHS, settled_at, EPOCHS_AT_ONCE).await?)
    }

    /// Trims a table that says so, or merges its small files.
    async fn tidy_table(&mut self, table: &TableName, report: &mut UpkeepReport) -> Result<(), LoadError> {
        let lake = &self.workspace.lake;
        let trimmed_to = self.views.get(table);
        let due_files = if trimmed_to.is_some() { TRIMMED_FILES } else { MERGED_FILES };
        let snapshot = lake.snapshot(table, None).await?.filter(|snapshot| snapshot.files().len() >= due_files);
        let Some(snapshot) = snapshot else { return Ok(()) };
        let _turn = self.workspace.engine.turn().await;
        // On one thread: waves have the others.
        let viewer = Viewer::System(SystemReason::Maintenance);
        let session = self.workspace.engine.recurring_session(viewer, ReadState::Working)?;
        let state = session.context().state();
        let has_grown = |rows: u64| self.left.get(table).is_none_or(|left| rows >= left * TRIM_GROWTH);
        if let Some(view) = trimmed_to
            && snapshot.num_rows().is_some_and(has_grown)
        {
            session.overlay(table.clone(), snapshot.provider(&state).await?);
            let query = session.query(&format!("select * from {}", view.quoted())).await?;
            if let Some(outcome) = lake.trim(&snapshot, query.streams().await?, Commit::default()).await? {
                self.left.insert(table.clone(), outcome.rows());
                report.trimmed.push(table.to_string());
            }
            return Ok(());
        }
        let spec = OptimizeSpec { target_bytes: MERGED_BYTES, alike: Some(MERGED_FILES), held: session.held() };
        if let Some(outcome) = lake.optimize(&state, &snapshot, spec, Commit::default()).await? {
            report.merged.push(table.to_string());
            self.merged.note(table, outcome.version());
        }
        Ok(())
    }

    /// The tables of waves have had their small files merged.
    async fn maintain(&self, frees_only: bool, report: &mut UpkeepReport) -> Vec<LoadError> {
        let options =
            MaintainOptions { merged_elsewhere: self.tables.clone(), frees_only, ..MaintainOptions::default() };
        let failures;
        (*report, failures) = maintain(&self.workspace, &options).await;
        failures
    }
}
