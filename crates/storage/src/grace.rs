//! What passes over the lake see, and since when; why, says `sightings.rs`. Notes for later processes lie in `_state/unneeded/`.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use object_store::path::Path;

use crate::{
    Lake, StorageError,
    sightings::{Seen, noted, settle},
};

const FOLDER: &str = "_state/unneeded";

impl Lake {
    /// Of `names`, which are all that there is to see of `subject` now, those that were there a grace ago, each its own. What is not among
    /// them any more is forgotten. Without `is_noted` nothing is remembered of this look.
    pub(crate) async fn seen_before(
        &self,
        subject: &str,
        names: BTreeMap<String, Duration>,
        is_noted: bool,
    ) -> Result<Vec<String>, StorageError> {
        let known = self.seen(subject).await?;
        let (settled, next) = settle(&known, names, Utc::now(), Instant::now());
        if !is_noted {
            return Ok(settled);
        }
        let times = |seen: &Seen| -> BTreeMap<String, DateTime<Utc>> {
            seen.iter().map(|(name, first)| (name.clone(), first.at)).collect()
        };
        if times(&next) != times(&known) {
            let path = path(subject);
            let noted = match next.is_empty() {
                true => self.remove(&path).await,
                false => self.put(&path, serde_json::json!(times(&next)).to_string()).await,
            };
            // A full disk takes no note, and has to be cleaned all the same.
            if let Err(error) = noted {
                tracing::warn!(%error, subject, "what was seen is not noted: a later process sees it for the first time");
            }
        }
        self.sightings.lock().insert(subject.to_owned(), next);
        Ok(settled)
    }

    /// What there was to see of `subject` at the last pass.
    pub(crate) async fn names_seen(&self, subject: &str) -> Result<BTreeSet<String>, StorageError> {
        Ok(self.seen(subject).await?.into_keys().collect())
    }

    async fn seen(&self, subject: &str) -> Result<Seen, StorageError> {
        let here = self.sightings.lock().get(subject).cloned();
        match here {
            Some(seen) => Ok(seen),
            None => Ok(noted(self.get(&path(subject)).await?)),
        }
    }
}

fn path(subject: &str) -> Path {
    Path::from(format!("{FOLDER}/{subject}.json"))
}
