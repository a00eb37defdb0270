//! Following one model: what is new in it from epoch to epoch.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use arrow::{array::RecordBatch, json::ArrayWriter};
use datafusion::execution::SendableRecordBatchStream;
use futures::TryStreamExt;
use wardlake_access::{Viewer, ViewerKey};
use wardlake_core::{RowHasher, TableName};
use wardlake_engine::ReadState;
use wardlake_load::Workspace;
use wardlake_project::ResourceType;
use wardlake_storage::{CHANGE_TYPE, Epoch, StorageError};

use crate::error::BuildError;

/// Rows of a view that are sent at most: a screen shows figures, not a warehouse.
pub const MAX_VIEW_ROWS: usize = 10_000;
/// Rows and bytes of one part of what is new in a table; a single row may be longer. A follower costs a few parts, whatever the table has.
const PART_ROWS: usize = 1_000;
const PART_BYTES: usize = 256 << 10;
/// Rows that are written out at once, to find where a part ends.
const PIECE_ROWS: usize = 100;

/// What views show, worked out once for all followers that are one viewer. The last of each view that was followed stays in memory.
#[derive(Debug, Default)]
pub struct Pictures(Mutex<HashMap<(ViewerKey, TableName), LastPicture>>);

type LastPicture = Arc<tokio::sync::Mutex<Option<Picture>>>;

/// What a view shows in an epoch.
#[derive(Clone, Debug)]
struct Picture {
    epoch: u64,
    rows: Arc<str>,
    digest: u128,
}

impl Pictures {
    /// The newest picture of a view, as a viewer sees it. Who works out the next one holds it: others wait for that one.
    fn of(&self, viewer: &Viewer, view: &TableName) -> LastPicture {
        let place = (viewer.key(), view.clone());
        Arc::clone(self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(place).or_default())
    }
}

/// Someone who follows a model. Methods take it for themselves: rows that are on their way are not shared between threads.
pub struct Follower {
    workspace: Workspace,
    viewer: Viewer,
    pictures: Arc<Pictures>,
    name: TableName,
    keys: Vec<String>,
    /// The last epoch that was looked at.
    seen: Option<u64>,
    /// What a view showed then.
    shown: Option<u128>,
    /// What is left to be told of a table in that epoch.
    parts: Option<Parts>,
}

/// What is new in a model, or a part of it.
#[derive(Clone, Debug)]
pub struct ModelNews {
    /// The epoch that shows it: from here a follower goes on.
    pub epoch: u64,
    /// The whole model (a view, or a table whose past is gone) instead of changes. Of a table it is the first part, and further ones add to
    /// it as changes.
    pub is_whole: bool,
    /// No part of the same news comes behind it. Who has heard of the last one alone has heard of the epoch.
    pub is_last: bool,
    /// A JSON array of objects. Changes name in `_change_type` what happened: insert, delete, update_preimage or
    /// update_postimage.
    pub rows: Arc<str>,
}

impl ModelNews {
    fn without_rows(epoch: u64, is_whole: bool) -> Self {
        Self { epoch, is_whole, is_last: true, rows: "[]".into() }
    }
}

impl Follower {
    /// Follows a model, by its name or `schema.name`, as `viewer` sees it, from the epoch `since` on; without it from now on. `None` if
    /// there is no such model.
    pub fn new(
        workspace: &Arc<Workspace>,
        viewer: Viewer,
        pictures: &Arc<Pictures>,
        model: &str,
        since: Option<u64>,
    ) -> Option<Self> {
        let models = workspace.project.nodes().values().filter(|node| node.resource_type == ResourceType::Model);
        let mut named = models.filter_map(|node| Some((node, node.relation.table_name()?)));
        let (node, name) = named.find(|(node, name)| node.name == model || name.to_string() == model)?;
        let keys = node.config.unique_key.clone();
        let (workspace, pictures) = (workspace.for_waiting_work(), Arc::clone(pictures));
        Some(Self { workspace, viewer, pictures, name, keys, seen: since, shown: None, parts: None })
    }

    /// If this lake has no epoch of the number from which the follower goes on, or none that can be read (it was restored from an older
    /// copy, or has forgotten that epoch), nothing is known of what the follower has: then its next news is the whole model. True if so.
    pub async fn forget_unknown(&mut self) -> Result<bool, BuildError> {
        let Some(seen @ 1..) = self.seen else { return Ok(false) };
        match self.workspace.lake.epoch(seen).await {
            Ok(_) => Ok(false),
            Err(StorageError::EpochNotFound { .. } | StorageError::Damaged { .. }) => {
                self.seen = Some(0);
                Ok(true)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// What is new in the newest epoch since the last call, or the next part of it; `None` if nothing is.
    pub async fn next(&mut self) -> Result<Option<ModelNews>, BuildError> {
        if let Some(parts) = &mut self.parts {
            match parts.next().await? {
                Some(part) => return Ok(Some(part)),
                None => self.parts = None,
            }
        }
        let Some(newest) = self.workspace.lake.newest_epoch().await? else { return Ok(None) };
        if self.seen.is_some_and(|seen| seen >= newest.number) {
            return Ok(None);
        }
        let newest = Arc::new(newest);
        if newest.views.contains_key(&self.name) {
            return self.view_news(newest).await;
        }
        let news = self.table_news(&newest).await?;
        self.seen = Some(newest.number);
        Ok(news)
    }

    async fn view_news(&mut self, newest: Arc<Epoch>) -> Result<Option<ModelNews>, BuildError> {
        let newest_picture = self.pictures.of(&self.viewer, &self.name);
        let mut newest_picture = newest_picture.lock().await;
        let picture = match newest_picture.as_ref().filter(|picture| picture.epoch >= newest.number) {
            Some(picture) => picture.clone(),
            None => newest_picture.insert(self.picture(newest).await?).clone(),
        };
        self.seen = Some(picture.epoch);
        if self.shown.replace(picture.digest) == Some(picture.digest) {
            return Ok(None);
        }
        Ok(Some(ModelNews { epoch: picture.epoch, is_whole: true, is_last: true, rows: picture.rows }))
    }

    async fn picture(&mut self, epoch: Arc<Epoch>) -> Result<Picture, BuildError> {
        let number = epoch.number;
        let session = self.workspace.engine.recurring_session(self.viewer.clone(), ReadState::Epoch(epoch))?;
        let sql = format!("select * from {} limit {MAX_VIEW_ROWS}", self.name.quoted());
        let rows: Arc<str> = json(&session.collect(&sql).await?)?.into();
        let mut hasher = RowHasher::default();
        hasher.field(Some(rows.as_bytes()));
        Ok(Picture { epoch: number, rows, digest: hasher.finish().0 })
    }

    async fn table_news(&mut self, newest: &Arc<Epoch>) -> Result<Option<ModelNews>, BuildError> {
        let Some(version) = newest.tables.get(&self.name) else { return Ok(None) };
        // A new follower begins now.
        let Some(seen) = self.seen else {
            return Ok(Some(ModelNews::without_rows(newest.number, false)));
        };
        let then = match seen {
            0 => None,
            // Of an epoch that is gone or cannot be read nothing is known: all rows are news.
            seen => self.workspace.lake.epoch(seen).await.ok().and_then(|epoch| epoch.tables.get(&self.name).copied()),
        };
        if then == Some(*version) {
            return Ok(None);
        }
        let Some(snapshot) = self.workspace.lake.snapshot(&self.name, Some(*version)).await? else { return Ok(None) };
        let state = ReadState::Epoch(Arc::clone(newest));
        let session = self.workspace.engine.recurring_session(self.viewer.clone(), state)?;
        let state = session.context().state();
        let (is_whole, changes) = match snapshot.changes_since(then, &self.keys, &state).await {
            Err(StorageError::VersionNotFound { .. } | StorageError::HistoryGone { .. }) => {
                (true, snapshot.changes_since(None, &self.keys, &state).await?)
            }
            other => (then.is_none(), other?),
        };
        let name = TableName::new(wardlake_project::CHANGES_SCHEMA, self.name.to_string())?;
        session.overlay(name.clone(), changes);
        let rows = session.query(&format!("select * from {}", name.quoted())).await?.stream().await?;
        debug_assert!(rows.schema().column_with_name(CHANGE_TYPE).is_some());
        let mut parts = Parts::begin(newest.number, is_whole, rows).await?;
        let first = match parts.next().await? {
            // Who has to forget what it has hears of it even if nothing takes its place.
            None if is_whole => Some(ModelNews::without_rows(newest.number, true)),
            first => first,
        };
        self.parts = first.as_ref().is_some_and(|first| !first.is_last).then_some(parts);
        Ok(first)
    }
}

/// What is new in a table, read as its follower takes it.
struct Parts {
    epoch: u64,
    is_whole: bool,
    rows: SendableRecordBatchStream,
    /// Rows that were read and are in no part yet.
    uncut: RecordBatch,
    /// The next part: whether one is the last is known when there is no other.
    ahead: Option<String>,
}

impl Parts {
    async fn begin(epoch: u64, is_whole: bool, rows: SendableRecordBatchStream) -> Result<Self, BuildError> {
        let uncut = RecordBatch::new_empty(rows.schema());
        let mut parts = Self { epoch, is_whole, rows, uncut, ahead: None };
        parts.ahead = parts.cut().await?;
        Ok(parts)
    }

    async fn next(&mut self) -> Result<Option<ModelNews>, BuildError> {
        let Some(rows) = self.ahead.take() else { return Ok(None) };
        self.ahead = self.cut().await?;
        let is_whole = std::mem::take(&mut self.is_whole);
        Ok(Some(ModelNews { epoch: self.epoch, is_whole, is_last: self.ahead.is_none(), rows: rows.into() }))
    }

    /// Reads as many rows as a part has; none behind the last.
    async fn cut(&mut self) -> Result<Option<String>, BuildError> {
        let (mut part, mut rows) = (String::new(), 0);
        while rows < PART_ROWS {
            if self.uncut.num_rows() == 0 {
                match self.rows.try_next().await? {
                    Some(batch) => self.uncut = batch,
                    None => break,
                }
                continue;
            }
            let mut count = self.uncut.num_rows().min(PART_ROWS - rows).min(PIECE_ROWS);
            let mut piece = json(&[self.uncut.slice(0, count)])?;
            while piece.len() > PART_BYTES && count > 1 {
                count = count.div_ceil(2);
                piece = json(&[self.uncut.slice(0, count)])?;
            }
            if rows > 0 && part.len() + piece.len() > PART_BYTES {
                break;
            }
            part.push(if rows == 0 { '[' } else { ',' });
            // Rows are objects: the brackets are those of the array.
            part.push_str(piece.trim_start_matches('[').trim_end_matches(']'));
            rows += count;
            self.uncut = self.uncut.slice(count, self.uncut.num_rows() - count);
        }
        part.push(']');
        Ok((rows > 0).then_some(part))
    }
}

fn json(batches: &[RecordBatch]) -> Result<String, BuildError> {
    let mut writer = ArrayWriter::new(Vec::new());
    writer.write_batches(&batches.iter().collect::<Vec<_>>())?;
    writer.finish()?;
    let bytes = writer.into_inner();
    // A writer that was given nothing writes nothing.
    Ok(if bytes.is_empty() { "[]".to_owned() } else { String::from_utf8_lossy(&bytes).into_owned() })
}

#[cfg(test)]
mod tests {
    use wardlake_access::{PrincipalId, SystemReason};

    use super::*;

    #[test]
    fn two_viewers_share_no_picture_and_one_does() {
        let pictures = Pictures::default();
        let viewers = [
            Viewer::System(SystemReason::Test),
            Viewer::Owner { user: "ward".into() },
            Viewer::Owner { user: "billing".into() },
            Viewer::Principal(PrincipalId::new("ward")),
        ];
        let views: [TableName; 2] = ["gold.kpi".parse().unwrap(), "gold.other".parse().unwrap()];
        let places: Vec<_> = viewers.iter().flat_map(|viewer| views.iter().map(move |view| (viewer, view))).collect();
        let kept: Vec<_> = places.iter().map(|(viewer, view)| pictures.of(viewer, view)).collect();
        for (number, (viewer, view)) in places.iter().enumerate() {
            let again = pictures.of(viewer, view);
            let same: Vec<_> = (0..kept.len()).filter(|other| Arc::ptr_eq(&again, &kept[*other])).collect();
            assert_eq!(same, [number], "{viewer:?}, {view}");
        }
    }
}
