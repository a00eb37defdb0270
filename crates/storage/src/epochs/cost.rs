//! What it costs to keep an epoch: files that would go but for it. Upkeep exchanges the small data files of a table for merged ones, and its log
//! is cleaned up to the last checkpoint; an epoch that names the version keeps them. Right after a merge and a checkpoint there are next to
//! none, right before them hundreds.
//!
//! It is worked out when an epoch is published, when all of it is in memory: hours later it would have to be read from the logs, of each of
//! the thousands of epochs of an hour.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
};

use wardlake_core::TableName;

use super::Epoch;
use crate::{Lake, state::TableState, table::TableHandle};

/// What a table costs that cannot be looked at without waiting for somebody: more than others do as a rule.
const UNKNOWN: u64 = 200;
/// Bytes that count as much as a file.
const BYTES_PER_FILE: u64 = 1 << 20;

/// What is known of the costs of versions; nothing until somebody wants it to be.
#[derive(Debug, Default)]
pub(crate) struct Costs {
    /// Data files below so many bytes are merged by and by.
    small: OnceLock<u64>,
    /// Of each table the version that was published last, and what it costs.
    of_tables: Mutex<HashMap<TableName, (u64, u64)>>,
}

impl Costs {
    fn lock(&self) -> MutexGuard<'_, HashMap<TableName, (u64, u64)>> {
        self.of_tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lake {
    /// From now on each epoch that is published by this process has noted what it costs to keep it, and of a span [`Lake::thin_epochs`] keeps the
    /// cheapest. For a process that merges files of less than `small` bytes, and publishes so many epochs that nobody knows one by its number.
    /// What others publish counts as free: of those the last stays.
    pub fn note_costs(&self, small: u64) {
        // Who asks twice asks for the same.
        let _ = self.epochs.costs.small.set(small);
    }

    /// What it costs to keep an epoch that is published now; 0 if nobody wants to know.
    pub(super) fn cost_of(&self, epoch: &Epoch) -> u64 {
        let costs = &self.epochs.costs;
        let Some(small) = costs.small.get().copied() else { return 0 };
        let mut known = costs.lock();
        let mut of_table = |name: &TableName, version: u64| {
            if let Some((_, cost)) = known.get(name).filter(|(of, _)| *of == version) {
                return *cost;
            }
            let Ok(handle) = self.handle(name) else { return UNKNOWN };
            let Some(state) = handle.in_memory(version) else { return UNKNOWN };
            let cost = of_version(&state, &handle, small);
            known.insert(name.clone(), (version, cost));
            cost
        };
        epoch.tables.iter().map(|(name, version)| of_table(name, *version)).sum()
    }
}

fn of_version(state: &TableState, handle: &TableHandle, small: u64) -> u64 {
    let merged = state.files().filter(|file| file.bytes() < small).map(|file| 1 + file.bytes() / BYTES_PER_FILE);
    merged.sum::<u64>() + handle.commits_since_checkpoint(state.version()).min(UNKNOWN)
}
