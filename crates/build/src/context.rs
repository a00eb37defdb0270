//! What the nodes of one run share: what is to be run, the state it reads, what is known of earlier runs.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use wardlake_access::{SystemReason, Viewer};
use wardlake_core::TableName;
use wardlake_engine::{ReadState, Session};
use wardlake_load::Workspace;
use wardlake_project::{Node, ResourceType, UniqueId};
use wardlake_records::system::{self, AuditRecord};

use crate::{error::BuildError, fingerprint::NodeStates};

/// What to run, and how.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct BuildOptions {
    /// The command's name, for the records.
    pub command: String,
    /// dbt selectors; empty selects all.
    pub select: Vec<String>,
    /// dbt selectors to leave out.
    pub exclude: Vec<String>,
    /// Only nodes of these types; empty means all that a build runs.
    pub resource_types: Vec<ResourceType>,
    /// Rebuild incremental models and reload seeds from nothing.
    pub full_refresh: bool,
    /// Stop at the first failure.
    pub fail_fast: bool,
    /// Nodes at once.
    pub threads: usize,
    /// Keep the rows every test finds, whatever its config says.
    pub store_failures: bool,
}

/// Everything the nodes of one run share.
pub(crate) struct BuildContext {
    pub(crate) workspace: Arc<Workspace>,
    pub(crate) options: BuildOptions,
    pub(crate) session: Session,
    pub(crate) states: NodeStates,
    pub(crate) previous: BTreeMap<TableName, u64>,
    /// Tables whose newest commits are gone, with the newest version that is there: a version of theirs may come to stand for other rows.
    pub(crate) set_back: BTreeMap<TableName, u64>,
    /// What the audited models of this run came to, in the order in which they ended.
    pub(crate) audits: Mutex<Vec<AuditRecord>>,
}

impl BuildContext {
    pub(crate) async fn open(
        workspace: Arc<Workspace>,
        options: BuildOptions,
        order: &[UniqueId],
    ) -> Result<Self, BuildError> {
        system::prepare_identity(&workspace.project, &workspace.lake).await?;
        let states = NodeStates::load(&workspace.lake).await?;
        Self::with(workspace, options, order, BTreeSet::new(), states, false).await
    }

    /// A context that reads the tables of `order`, and `working` beside them, at their newest versions. `is_recurring`: the same queries
    /// come with the next build.
    pub(crate) async fn with(
        workspace: Arc<Workspace>,
        options: BuildOptions,
        order: &[UniqueId],
        mut working: BTreeSet<TableName>,
        states: NodeStates,
        is_recurring: bool,
    ) -> Result<Self, BuildError> {
        let nodes = order.iter().filter_map(|id| workspace.project.node(id));
        working.extend(nodes.filter_map(|node| node.relation.table_name()));
        let newest = workspace.lake.newest_epoch().await?.map(Arc::new);
        let previous = newest.as_ref().map(|epoch| epoch.tables.clone()).unwrap_or_default();
        let mut set_back = BTreeMap::new();
        if !is_recurring {
            set_back = workspace.lake.set_back(&previous).await?;
            let lost = set_back.iter().map(|(name, newest)| {
                format!(
                    "the newest commits of {name} are gone: {newest} is the newest version that is there, and a later one is published; \
                     what this build reads or makes of it is built anew"
                )
            });
            let unreadable = workspace.lake.unreadable_epoch(newest.as_deref());
            lost.chain(unreadable).for_each(|text| workspace.events.warn(text));
        }
        let state = ReadState::Build { epoch: newest, working: Arc::new(working) };
        let session = match is_recurring {
            true => workspace.engine.recurring_session(Viewer::System(SystemReason::Wave), state)?,
            false => workspace.engine.session(Viewer::System(SystemReason::Build), state).await?,
        };
        Ok(Self { workspace, options, session, states, previous, set_back, audits: Mutex::default() })
    }

    pub(crate) fn node(&self, id: &UniqueId) -> Option<&Node> {
        self.workspace.project.node(id)
    }
}
