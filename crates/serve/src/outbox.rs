//! Notices on their way to webhooks. They are kept in the lake until a webhook has taken them or is given up: whatever ends the server in
//! between, the next one goes on with them. A notice that was taken just before a crash is sent once more, none is left out.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use wardlake_core::RowHasher;
use wardlake_load::Workspace;
use wardlake_records::Notice;

use crate::ServeError;

/// What was on its way last. Losing it costs notices to webhooks; `system.alerts` has them.
const STATE: &str = "_state/alerts_on_their_way.json";

/// What is on its way, in the order in which it was told.
#[derive(Debug, Default)]
pub(crate) struct Outbox(Mutex<Held>);

#[derive(Debug, Default)]
struct Held {
    letters: BTreeMap<u64, Letter>,
    next: u64,
    /// The lake has something else.
    is_changed: bool,
}

/// A notice to one webhook.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Letter {
    /// The webhook by [`name_of`].
    pub(crate) webhook: String,
    pub(crate) told_at: DateTime<Utc>,
    pub(crate) notice: Notice,
}

/// By what a webhook is known in the lake: its address may hold a secret.
pub(crate) fn name_of(webhook: &str) -> String {
    let mut hasher = RowHasher::default();
    hasher.field(Some(webhook.as_bytes()));
    format!("{:032x}", hasher.finish().0)
}

impl Outbox {
    fn lock(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the last server left.
    pub(crate) async fn load(workspace: &Workspace) -> Result<Vec<Letter>, ServeError> {
        let Some(bytes) = workspace.lake.get(&STATE.into()).await? else { return Ok(Vec::new()) };
        serde_json::from_slice(&bytes).map_err(ServeError::notes)
    }

    /// Puts a letter in; its number.
    pub(crate) fn put(&self, letter: Letter) -> u64 {
        let mut held = self.lock();
        let number = held.next;
        held.next += 1;
        held.letters.insert(number, letter);
        held.is_changed = true;
        number
    }

    /// It was taken, or never will be.
    pub(crate) fn remove(&self, number: u64) {
        let mut held = self.lock();
        held.letters.remove(&number);
        held.is_changed = true;
    }

    /// Writes down what is on its way, if that is another than before.
    pub(crate) async fn keep(&self, workspace: &Workspace) -> Result<(), ServeError> {
        let bytes = {
            let mut held = self.lock();
            if !std::mem::take(&mut held.is_changed) {
                return Ok(());
            }
            serde_json::to_vec(&held.letters.values().collect::<Vec<_>>()).map_err(ServeError::notes)?
        };
        let put = workspace.lake.put(&STATE.into(), bytes).await;
        if put.is_err() {
            self.lock().is_changed = true;
        }
        Ok(put?)
    }
}
