//! What each published table looks like (rows, empty and distinct values, bounds, means), and whether that is ordinary
//! compared with its own past. Nothing has to be configured; what is not ordinary is a warning, never a failure.

pub(crate) mod anomaly;
mod measure;
mod statistics;
mod store;

use std::collections::BTreeMap;

use chrono::{Datelike, NaiveDate, Utc};
use futures::{StreamExt, TryStreamExt, stream};
use wardlake_build::Built;
use wardlake_core::TableName;
use wardlake_load::Workspace;
use wardlake_records::{NodeResult, Status, rows_of};

use self::{
    anomaly::{Anomaly, Past, PastProfile},
    measure::TableProfile,
};
use crate::error::TrustError;

/// The most warnings that one run prints; `system.anomalies` has all.
const MOST_WARNINGS: usize = 10;
/// How many earlier profiles of a table count.
const HISTORY: usize = 56;

/// Profiles what a build has published. Profiles are records: that they cannot be kept is told and stops nothing.
pub(crate) async fn after_build(built: &Built) {
    if let Err(error) = profile(built).await {
        built.workspace().events.warn(format!("the profiles of this run are not kept: {error}"));
    }
}

async fn profile(built: &Built) -> Result<(), TrustError> {
    let known = store::versions(built).await?;
    let is_new = |(relation, version): &(TableName, u64)| known.get(&relation.to_string()) != Some(version);
    let tables: Vec<(TableName, u64)> = written(built.results()).filter(is_new).collect();
    if tables.is_empty() {
        return Ok(());
    }
    let workspace = built.workspace();
    let profiles: Vec<TableProfile> = stream::iter(tables)
        .map(|(relation, version)| async move { measure::table(built.session(), &relation, version).await })
        .buffered(built.threads().max(1))
        .try_collect()
        .await?;
    let day = data_day(built).await?;
    let past = store::past(built, &profiles, HISTORY).await?;
    let found = compare(&profiles, &past, day);
    let is_wide = |profile: &&TableProfile| profile.columns.is_empty() && profile.row_count > 0;
    for wide in profiles.iter().filter(is_wide) {
        let text = format!(
            "{} has more than {} columns; only its rows are counted in system.profiles",
            wide.relation,
            measure::MOST_COLUMNS
        );
        workspace.events.warn(text);
    }
    store::append(built, &profiles, &found, day).await?;
    tell(workspace, &found);
    Ok(())
}

/// The tables this run published. One that was kept may still be new to readers: the run that wrote it may have failed later.
fn written(results: &[NodeResult]) -> impl Iterator<Item = (TableName, u64)> {
    let is_table = |result: &&NodeResult| result.status == Status::Success && result.resource_type != "test";
    let table = |result: &NodeResult| Some((result.relation.as_ref()?.parse().ok()?, result.version?));
    results.iter().filter(is_table).filter_map(table)
}

fn compare(profiles: &[TableProfile], past: &[PastProfile], day: NaiveDate) -> Vec<Anomaly> {
    let mut by_table: BTreeMap<&str, Past<'_>> = BTreeMap::new();
    for earlier in past {
        let table = by_table.entry(&earlier.relation).or_default();
        table.entry(earlier.column_name.as_deref()).or_default().push(earlier);
    }
    let weekday = day.weekday().number_from_monday();
    let mut found: Vec<Anomaly> = Vec::new();
    for profile in profiles {
        if let Some(past) = by_table.get(profile.relation.to_string().as_str()) {
            found.extend(anomaly::find(profile, past, weekday));
        }
    }
    found.sort_by(|a, b| b.band.score(b.value).total_cmp(&a.band.score(a.value)));
    found
}

fn tell(workspace: &Workspace, found: &[Anomaly]) {
    for anomaly in found.iter().take(MOST_WARNINGS) {
        workspace.events.warn(anomaly.message.clone());
    }
    if found.len() > MOST_WARNINGS {
        let more = found.len() - MOST_WARNINGS;
        workspace.events.warn(format!("{more} more figures are out of the ordinary; see system.anomalies"));
    }
}

/// The day the data is about: the project's `as_of`, else the newest day that a loaded file names, else today. Weekdays are
/// compared by it, so that a late run of Sunday's extract is still Sunday's.
async fn data_day(built: &Built) -> Result<NaiveDate, TrustError> {
    #[derive(serde::Deserialize)]
    struct Newest {
        day: Option<String>,
    }
    let workspace = built.workspace();
    let as_of = workspace.project.options().vars.get("as_of").and_then(|value| value.as_str());
    let parse = |text: &str| NaiveDate::parse_from_str(text.get(..10)?, "%Y-%m-%d").ok();
    if let Some(day) = as_of.and_then(parse) {
        return Ok(day);
    }
    let sql = "select max(substr(order_key, 1, 10)) as day from system.load_log \
               where substr(order_key, 1, 10) ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}$'";
    let newest: Vec<Newest> =
        rows_of(&workspace.lake, built.session(), "system.load_log", sql).await?.unwrap_or_default();
    let newest = newest.into_iter().filter_map(|row| row.day).find_map(|day| parse(&day));
    Ok(newest.unwrap_or_else(|| Utc::now().date_naive()))
}
