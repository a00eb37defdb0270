//! When nothing a node reads has changed, its table of an earlier run stands.
//!
//! A node's fingerprint hashes this program's version, the compiled SQL, the materialization's settings and the
//! identity of every input. A table's identity is its Delta version and its id, a view's is the fingerprint of its own inputs.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde::{Deserialize, Serialize};
use wardlake_core::RowHasher;
use wardlake_engine::Session;
use wardlake_records::{NodeResult, Status};
use wardlake_storage::Lake;

use crate::error::BuildError;

/// Where the states are kept in the lake. Losing the file only costs a rebuild.
const PATH: &str = "_state/nodes.json";

/// What is remembered of a node's last good run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NodeState {
    pub(crate) fingerprint: String,
    pub(crate) version: Option<u64>,
    pub(crate) rows: Option<u64>,
    pub(crate) status: Status,
    pub(crate) failures: Option<u64>,
}

/// The states of all nodes: those of earlier runs, and the identities settled in this one.
pub(crate) struct NodeStates {
    known: BTreeMap<String, NodeState>,
    identities: Mutex<BTreeMap<String, String>>,
    /// Whether nodes may be left as they are.
    are_compared: bool,
}

impl NodeStates {
    pub(crate) async fn load(lake: &Lake) -> Result<Self, BuildError> {
        let known = match lake.get(&PATH.into()).await? {
            // States that cannot be read cost that every node runs once more.
            Some(bytes) => serde_json::from_slice(&bytes).unwrap_or_default(),
            None => BTreeMap::new(),
        };
        Ok(Self { known, identities: Mutex::default(), are_compared: true })
    }

    /// No past, and none is kept: every node runs.
    pub(crate) fn unknown() -> Self {
        Self { known: BTreeMap::new(), identities: Mutex::default(), are_compared: false }
    }

    /// Whether anybody asks for identities.
    pub(crate) fn are_compared(&self) -> bool {
        self.are_compared
    }

    /// Whether equal inputs mean equal rows. A text that is no SQL fails where it is run.
    pub(crate) fn is_deterministic(&self, session: &Session, sql: &str) -> bool {
        self.are_compared && session.is_volatile(sql).is_ok_and(|is_volatile| !is_volatile)
    }

    /// The state of the node's last good run.
    pub(crate) fn last(&self, unique_id: &str) -> Option<&NodeState> {
        self.known.get(unique_id)
    }

    /// Notes what stands for the node's rows from now on.
    pub(crate) fn settle(&self, unique_id: &str, identity: String) {
        self.identities().insert(unique_id.to_owned(), identity);
    }

    /// What stands for the node's rows, if it was settled in this run.
    pub(crate) fn identity(&self, unique_id: &str) -> Option<String> {
        self.identities().get(unique_id).cloned()
    }

    fn identities(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.identities.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes the states with this run's good results over those of earlier runs.
    pub(crate) async fn save(&self, lake: &Lake, results: &[NodeResult]) -> Result<(), BuildError> {
        let mut states = self.known.clone();
        for result in results {
            match (&result.fingerprint, result.status) {
                (Some(fingerprint), Status::Success | Status::Pass | Status::Warn) => {
                    states.insert(
                        result.unique_id.clone(),
                        NodeState {
                            fingerprint: fingerprint.clone(),
                            version: result.version,
                            rows: result.rows,
                            status: result.status,
                            failures: result.failures,
                        },
                    );
                }
                (_, Status::Skipped) => {}
                _ => {
                    states.remove(&result.unique_id);
                }
            }
        }
        if states != self.known {
            let bytes = serde_json::to_vec(&states).map_err(|source| BuildError::Kept { source })?;
            lake.put(&PATH.into(), bytes).await?;
        }
        Ok(())
    }
}

/// Hashes texts that together decide a node's rows.
pub(crate) fn fingerprint<'a>(parts: impl IntoIterator<Item = &'a str>) -> String {
    let mut hasher = RowHasher::default();
    hasher.field(Some(env!("CARGO_PKG_VERSION").as_bytes()));
    for part in parts {
        hasher.field(Some(part.as_bytes()));
    }
    hasher.finish().to_string()
}
