//! Which epochs go before their age says so: of tables that are made anew each time all but the last few, and the oldest of all where old
//! epochs hold more bytes than they may. Pinned ones never go.
//!
//! What old epochs hold is bounded by itself: each names a version, and of a version's files none is its alone but those that were merged or
//! rewritten since. There are some fifty of these epochs, and of those of an hour or a day the one stays that a server published right behind a
//! merge ([`Lake::thin_epochs`]): it has next to no small files.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet, btree_map::Entry},
    time::Duration,
};

use chrono::{DateTime, Utc};
use wardlake_core::{ErrorKind, HasErrorKind, TableName};
use wardlake_project::{Node, ResourceType};
use wardlake_storage::{EpochRetention, Lake};

use crate::{Workspace, error::LoadError};

/// Of tables that are made anew each time so many versions stay within the last hour.
pub const REBUILT_VERSIONS: usize = 5;
/// How long epochs stay, reckoned from the time that is settled ([`Lake::settled_time`]). All of the last hour stay by that alone: it was
/// shown an hour ago.
pub(crate) const SETTLED_EPOCHS: EpochRetention = EpochRetention { all: Duration::ZERO, ..EpochRetention::USUAL };

/// Forgets them; with `dry_run`, says of how many old epochs this is so. Old is what was published before `settled_at`; what was published before
/// `counted_on`, nobody counts on any more.
pub(crate) async fn forget(
    workspace: &Workspace,
    counted_on: Option<DateTime<Utc>>,
    settled_at: Option<DateTime<Utc>>,
    dry_run: bool,
) -> Result<usize, LoadError> {
    let lake = &workspace.lake;
    let mut forgotten = 0;
    // Of epochs of the last hour only those may go behind which nobody counts on, whatever the clock shows now.
    if let Some(counted_on) = counted_on.filter(|_| !dry_run) {
        let is_rebuilt = |node: &&Node| match node.resource_type {
            ResourceType::Model => node.config.materialized == "table",
            ResourceType::Seed => true,
            _ => false,
        };
        let nodes = workspace.project.nodes().values().filter(is_rebuilt);
        let rebuilt = nodes.filter_map(|node| node.relation.table_name()).collect();
        let hour = EpochRetention::USUAL.all;
        forgotten += lake.thin_rebuilt(&rebuilt, REBUILT_VERSIONS, hour, Utc::now(), counted_on).await?;
    }
    let Some(keep_bytes) = workspace.project.target().keeping.epoch_bytes else { return Ok(forgotten) };
    let Some(settled_at) = settled_at else { return Ok(forgotten) };
    let beyond = beyond(lake, keep_bytes, settled_at).await?;
    forgotten += match dry_run {
        true => beyond.len(),
        false => lake.forget_epochs(&beyond, SETTLED_EPOCHS, settled_at).await?,
    };
    Ok(forgotten)
}

/// The old epochs that hold more than `keep_bytes` together with those after them. A file is held by the youngest that names it, if the
/// newest version of its table does not.
async fn beyond(lake: &Lake, keep_bytes: u64, settled_at: DateTime<Utc>) -> Result<BTreeSet<u64>, LoadError> {
    let pinned = lake.pinned_epochs().await?;
    let old = lake.epochs_older_than(SETTLED_EPOCHS.all, settled_at).await?;
    let mut known: BTreeMap<&TableName, Known> = BTreeMap::new();
    let (mut bytes, mut beyond) = (0, BTreeSet::new());
    for epoch in old.iter().rev() {
        for (name, version) in &epoch.tables {
            let known = match known.entry(name) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(place) => place.insert(Known::newest(lake, name).await?),
            };
            bytes += known.add(lake, name, *version).await?;
        }
        if bytes > keep_bytes && !pinned.contains_key(&epoch.number) {
            beyond.insert(epoch.number);
        }
    }
    Ok(beyond)
}

/// What was counted of a table.
#[derive(Default)]
struct Known {
    versions: BTreeSet<u64>,
    files: HashSet<String>,
}

impl Known {
    async fn newest(lake: &Lake, name: &TableName) -> Result<Self, LoadError> {
        let mut known = Self::default();
        if let Some(newest) = lake.snapshot(name, None).await? {
            known.versions.insert(newest.version());
            known.files.extend(newest.files().into_iter().map(|file| file.path));
        }
        Ok(known)
    }

    /// The bytes of the files of a version that were not counted yet.
    async fn add(&mut self, lake: &Lake, name: &TableName, version: u64) -> Result<u64, LoadError> {
        if !self.versions.insert(version) {
            return Ok(0);
        }
        let then = match lake.snapshot(name, Some(version)).await {
            Ok(Some(then)) => then,
            Ok(None) => return Ok(0),
            // Nobody can read it any more.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(0),
            Err(error) => return Err(error.into()),
        };
        let new = then.files().into_iter().filter_map(|file| self.files.insert(file.path).then_some(file.bytes));
        Ok(new.sum())
    }
}
