//! Following one model: what is new in it from epoch to epoch.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use arrow::{array::RecordBatch, json::ArrayWriter};
use wardlake_core::{RowHasher, TableName};
use wardlake_engine::{ReadState, Session};
use wardlake_load::Workspace;
use wardlake_project::ResourceType;
use wardlake_storage::{CHANGE_TYPE, Epoch, StorageError};

use crate::error::BuildError;

/// Rows of a view that are sent at most: a screen shows figures, not a warehouse.
const MAX_VIEW_ROWS: usize = 10_000;

/// What views show, worked out once for all who follow them. The last of each view that was followed stays in memory.
#[derive(Debug, Default)]
pub struct Pictures(Mutex<HashMap<TableName, Arc<tokio::sync::Mutex<Option<Picture>>>>>);

/// What a view shows in an epoch.
#[derive(Clone, Debug)]
struct Picture {
    epoch: u64,
    rows: Arc<str>,
    digest: u128,
}

impl Pictures {
    /// The newest picture of a view. Who works out the next one holds it: others wait for that one.
    fn of(&self, view: &TableName) -> Arc<tokio::sync::Mutex<Option<Picture>>> {
        Arc::clone(self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(view.clone()).or_default())
    }
}

/// Someone who follows a model.
pub struct Follower {
    workspace: Workspace,
    pictures: Arc<Pictures>,
    name: TableName,
    keys: Vec<String>,
    /// The last epoch that was looked at.
    seen: Option<u64>,
    /// What a view showed then.
    shown: Option<u128>,
}

/// What is new in a model.
#[derive(Clone, Debug)]
pub struct ModelNews {
    /// The epoch that shows it: from here a follower goes on.
    pub epoch: u64,
    /// The whole model (a view, or a table whose past is gone) instead of changes.
    pub is_whole: bool,
    /// A JSON array of objects. Changes name in `_change_type` what happened: insert, delete, update_preimage or
    /// update_postimage.
    pub rows: Arc<str>,
}

impl Follower {
    /// Follows a model, by its name or `schema.name`, from the epoch `since` on; without it from now on. `None` if there is
    /// no such model.
    pub fn new(workspace: &Arc<Workspace>, pictures: &Arc<Pictures>, model: &str, since: Option<u64>) -> Option<Self> {
        let models = workspace.project.nodes().values().filter(|node| node.resource_type == ResourceType::Model);
        let mut named = models.filter_map(|node| Some((node, node.relation.table_name()?)));
        let (node, name) = named.find(|(node, name)| node.name == model || name.to_string() == model)?;
        let keys = node.config.unique_key.clone();
        let (workspace, pictures) = (workspace.for_waiting_work(), Arc::clone(pictures));
        Some(Self { workspace, pictures, name, keys, seen: since, shown: None })
    }

    /// What is new in the newest epoch since the last call; `None` if nothing is.
    pub async fn next(&mut self) -> Result<Option<ModelNews>, BuildError> {
        let Some(newest) = self.workspace.lake.newest_epoch().await? else { return Ok(None) };
        if self.seen.is_some_and(|seen| seen >= newest.number) {
            return Ok(None);
        }
        let newest = Arc::new(newest);
        if newest.views.contains_key(&self.name) {
            return self.view_news(newest).await;
        }
        let session = self.workspace.engine.recurring_session(ReadState::Epoch(Arc::clone(&newest)))?;
        let news = self.table_news(&session, &newest).await?;
        self.seen = Some(newest.number);
        Ok(news)
    }

    async fn view_news(&mut self, newest: Arc<Epoch>) -> Result<Option<ModelNews>, BuildError> {
        let newest_picture = self.pictures.of(&self.name);
        let mut newest_picture = newest_picture.lock().await;
        let picture = match newest_picture.as_ref().filter(|picture| picture.epoch >= newest.number) {
            Some(picture) => picture.clone(),
            None => newest_picture.insert(self.picture(newest).await?).clone(),
        };
        self.seen = Some(picture.epoch);
        if self.shown.replace(picture.digest) == Some(picture.digest) {
            return Ok(None);
        }
        Ok(Some(ModelNews { epoch: picture.epoch, is_whole: true, rows: picture.rows }))
    }

    async fn picture(&self, epoch: Arc<Epoch>) -> Result<Picture, BuildError> {
        let number = epoch.number;
        let session = self.workspace.engine.recurring_session(ReadState::Epoch(epoch))?;
        let sql = format!("select * from {} limit {MAX_VIEW_ROWS}", self.name.quoted());
        let rows = json(&session.collect(&sql).await?)?;
        let mut hasher = RowHasher::default();
        hasher.field(Some(rows.as_bytes()));
        Ok(Picture { epoch: number, rows, digest: hasher.finish().0 })
    }

    async fn table_news(&self, session: &Session, newest: &Epoch) -> Result<Option<ModelNews>, BuildError> {
        let Some(version) = newest.tables.get(&self.name) else { return Ok(None) };
        // A new follower begins now.
        let Some(seen) = self.seen else {
            return Ok(Some(ModelNews { epoch: newest.number, is_whole: false, rows: "[]".into() }));
        };
        let then = match seen {
            0 => None,
            seen => self.workspace.lake.epoch(seen).await.ok().and_then(|epoch| epoch.tables.get(&self.name).copied()),
        };
        if then == Some(*version) {
            return Ok(None);
        }
        let Some(snapshot) = self.workspace.lake.snapshot(&self.name, Some(*version)).await? else { return Ok(None) };
        let state = session.context().state();
        let changes = match snapshot.changes_since(then, &self.keys, &state).await {
            Err(StorageError::VersionNotFound { .. } | StorageError::HistoryGone { .. }) => {
                snapshot.changes_since(None, &self.keys, &state).await?
            }
            other => other?,
        };
        let name = TableName::new(wardlake_project::CHANGES_SCHEMA, self.name.to_string())?;
        session.overlay(name.clone(), changes);
        let batches = session.collect(&format!("select * from {}", name.quoted())).await?;
        if batches.iter().all(|batch| batch.num_rows() == 0) {
            return Ok(None);
        }
        debug_assert!(batches.iter().all(|batch| batch.column_by_name(CHANGE_TYPE).is_some()));
        Ok(Some(ModelNews { epoch: newest.number, is_whole: then.is_none(), rows: json(&batches)? }))
    }
}

fn json(batches: &[RecordBatch]) -> Result<Arc<str>, BuildError> {
    let mut writer = ArrayWriter::new(Vec::new());
    writer.write_batches(&batches.iter().collect::<Vec<_>>())?;
    writer.finish()?;
    let bytes = writer.into_inner();
    // A writer that was given nothing writes nothing.
    Ok(if bytes.is_empty() { "[]".into() } else { String::from_utf8_lossy(&bytes).into() })
}
