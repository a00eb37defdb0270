//! What follows from a build that has published: profiles of what it wrote, and the bounds of its key figures.

use std::collections::BTreeSet;

use wardlake_build::Built;
use wardlake_records::{NodeResult, Status};

use crate::{bounds, profile};

/// Works out what follows from a build, if it published. What is published stands, whether or not that succeeds: what fails is told.
pub async fn after(built: &Built) {
    let Some(epoch) = built.epoch() else { return };
    profile::after_build(built).await;
    let is_written = |result: &&NodeResult| result.status == Status::Success && !result.is_reused;
    let written: BTreeSet<&str> =
        built.results().iter().filter(is_written).map(|result| result.unique_id.as_str()).collect();
    if let Err(error) = bounds::after_build(built.workspace(), &written, epoch).await {
        built.workspace().events.warn(format!("the bounds of the key figures could not be worked out: {error}"));
    }
}
