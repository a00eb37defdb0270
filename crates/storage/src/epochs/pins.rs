//! Epochs that stay for ever because somebody says so: `_epochs/pinned/<N>.json`, one file per pin.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use object_store::path::Path;
use serde::{Deserialize, Serialize};

use super::FOLDER;
use crate::{Lake, StorageError};

const PINNED: &str = "pinned";

/// Why an epoch stays, and since when somebody says so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// Since when.
    pub pinned_at: DateTime<Utc>,
    /// What for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

fn path(number: u64) -> Path {
    Path::from_iter([FOLDER, PINNED, &format!("{number}.json")])
}

impl Lake {
    /// Pins an epoch. One that is pinned already gets the new note.
    pub async fn pin_epoch(&self, number: u64, note: Option<String>) -> Result<Pin, StorageError> {
        self.epoch(number).await?;
        let pin = Pin { pinned_at: Utc::now(), note };
        self.put(&path(number), serde_json::json!(pin).to_string()).await?;
        // It may have been forgotten while the pin was written.
        if let Err(error) = self.epoch(number).await {
            self.remove(&path(number)).await?;
            return Err(error);
        }
        Ok(pin)
    }

    /// Lets a pinned epoch go as its age says; whether it was pinned.
    pub async fn unpin_epoch(&self, number: u64) -> Result<bool, StorageError> {
        let was_pinned = self.pinned_numbers().await?.contains(&number);
        self.remove(&path(number)).await?;
        Ok(was_pinned)
    }

    /// The pinned epochs, by number.
    pub async fn pinned_epochs(&self) -> Result<BTreeMap<u64, Pin>, StorageError> {
        let mut pins = BTreeMap::new();
        for number in self.pinned_numbers().await? {
            let path = path(number);
            let Some(bytes) = self.get(&path).await? else { continue };
            let pin = serde_json::from_slice(&bytes)
                .map_err(|error| StorageError::Damaged { path: path.to_string(), reason: error.to_string() })?;
            pins.insert(number, pin);
        }
        Ok(pins)
    }

    /// Their numbers. A pin that cannot be read holds all the same.
    pub(super) async fn pinned_numbers(&self) -> Result<BTreeSet<u64>, StorageError> {
        let names = self.list(&Path::from_iter([FOLDER, PINNED])).await?;
        Ok(names.iter().filter_map(|(name, _)| name.strip_suffix(".json")?.parse().ok()).collect())
    }
}
