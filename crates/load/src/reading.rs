//! By which settings the rows of a bronze table were read. They stand with the table itself, so that they change in the commit that changes
//! the rows, and tell when other rows would come of the same bytes today.
//!
//! A table with which none stands was loaded by a release before this one: it goes on as it was read until it is read again.

use std::collections::BTreeMap;

use wardlake_connect::{
    FileTable,
    source::{FileFormat, TableReading},
};
use wardlake_core::TableName;
use wardlake_storage::{Commit, TableSnapshot};

use crate::{Workspace, error::LoadError};

/// The table's property.
const PROPERTY: &str = "wardlake.reading";

/// The property that tells since which load the table is there.
const SINCE: &str = "wardlake.since";

/// What a table is created with: ids of loads ascend with time, and `since` is no later than that of its first one.
pub(crate) fn created(table: &FileTable, since: &str) -> BTreeMap<String, String> {
    let mut properties = properties(table);
    properties.insert(SINCE.to_owned(), since.to_owned());
    properties
}

/// See [`created`].
pub(crate) fn since(snapshot: &TableSnapshot) -> Option<String> {
    snapshot.properties().remove(SINCE)
}

/// What a table is read again with.
pub(crate) fn properties(table: &FileTable) -> BTreeMap<String, String> {
    properties_of(&table.reading)
}

fn properties_of(reading: &TableReading) -> BTreeMap<String, String> {
    BTreeMap::from([(PROPERTY.to_owned(), reading.to_text())])
}

/// By what the rows of a table were read; none of a table that a release before this one loaded.
fn kept(snapshot: &TableSnapshot) -> Option<TableReading> {
    snapshot.properties().get(PROPERTY).and_then(|text| TableReading::from_text(text))
}

/// Compares how a table is to be read with how its rows were: a sentence for what differs. What is read from now on goes into rows beside
/// those, so `table` keeps the meaning that they gave to empty fields, where nobody chose it.
pub(crate) async fn settle(
    workspace: &Workspace,
    label: &str,
    name: &TableName,
    table: &mut FileTable,
) -> Result<Vec<String>, LoadError> {
    let mut words = Vec::new();
    let Some(snapshot) = workspace.lake.snapshot(name, None).await? else { return Ok(words) };
    let now = table.reading.clone();
    // Of a file that was read in the wrong way there may be rejected records only.
    let file = format!("file:{label}:");
    let is_loaded = snapshot.num_rows() != Some(0)
        || snapshot.consumed_all().await?.keys().any(|consumed| consumed.starts_with(&file));
    let then = match kept(&snapshot) {
        Some(then) if then == now => return Ok(words),
        Some(then) if is_loaded => then,
        None if is_loaded => {
            let then = now.clone().as_before();
            note(workspace, name, &then).await?;
            let format = table.format.file_format;
            if then.is_as_before() && matches!(format, FileFormat::Csv | FileFormat::Tsv | FileFormat::Auto) {
                words.push(format!(
                    "an empty field of delimited text is NULL since this release; this table was loaded before, so that it is \
                     still read as the empty string, until `wardlake ingest --reload -s {label}` reads the kept files again \
                     (`empty_is_null: false` in its format keeps it so for good)"
                ));
            }
            then
        }
        _ => {
            note(workspace, name, &now).await?;
            return Ok(words);
        }
    };
    if then.is_as_before() {
        table.format.empty_is_null = false;
    }
    let differences = then.differences(&now);
    if !differences.is_empty() {
        words.push(format!(
            "its settings were changed since it was loaded ({}): what was loaded stays as it was read, until `wardlake ingest --reload -s \
             {label}` reads the kept files again",
            differences.join(", ")
        ));
    }
    Ok(words)
}

/// Notes that rows of the table are read in this way.
pub(crate) async fn note(workspace: &Workspace, name: &TableName, reading: &TableReading) -> Result<(), LoadError> {
    let commit = Commit { properties: properties_of(reading), ..Commit::default() };
    workspace.lake.set_properties(name, commit).await?;
    Ok(())
}
