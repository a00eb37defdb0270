//! A lake and a feed for the tests of this room.

use std::{path::Path, sync::Arc, time::Duration};

use arrow::{
    array::{Int64Array, RecordBatch},
    util::pretty::pretty_format_batches,
};
use datafusion::physical_plan::memory::MemoryStream;
use serde_json::{Value, json};
use wardlake_access::{SystemReason, Viewer};
use wardlake_connect::FileTable;
use wardlake_core::TableName;
use wardlake_engine::{EngineOptions, ReadState};
use wardlake_project::{LoadOptions, Project};
use wardlake_records::EventSink;
use wardlake_storage::Commit;

use super::FeedOptions;
use crate::Workspace;

/// An empty lake, and how a table of it is fed that is described to have these columns.
pub(crate) async fn open(folder: &Path, columns: &[&str]) -> (Workspace, FeedOptions) {
    std::fs::write(folder.join("dbt_project.yml"), "name: ward\nversion: '1.0'\n").unwrap();
    let project = Arc::new(Project::load(LoadOptions::new(folder)).unwrap());
    let lake = folder.join("lake").to_string_lossy().into_owned();
    let events = EventSink::channel().0;
    let workspace = Workspace::open(project, &lake, EngineOptions::default(), events, "r".to_owned()).await.unwrap();
    let settings = json!({"http": true, "format": {"type": "ndjson"}});
    let options = FeedOptions {
        label: "feed.adt".to_owned(),
        name: TableName::new("bronze", "adt").unwrap(),
        table: FileTable::from_json(&Value::Null, &settings).unwrap(),
        columns: columns.iter().map(|name| (*name).to_owned()).collect(),
        max_waiting_bytes: 1 << 20,
        key_window: Duration::ZERO,
    };
    (workspace, options)
}

/// Makes the table one in which an id is a number, which text that is none cannot be loaded into. It has the row 0.
pub(crate) async fn table_of_numbers(workspace: &Workspace, options: &FeedOptions) {
    let ids = RecordBatch::try_from_iter([("id", Arc::new(Int64Array::from(vec![0])) as _)]).unwrap();
    let stream = MemoryStream::try_new(vec![ids.clone()], ids.schema(), None).unwrap();
    workspace.lake.append(&options.name, vec![Box::pin(stream)], Commit::default()).await.unwrap();
}

/// The rows of a query, a line each; NULL is left out.
pub(crate) async fn lines(workspace: &Workspace, sql: &str) -> Vec<String> {
    let session = workspace.engine.session(Viewer::System(SystemReason::Test), ReadState::Working).await.unwrap();
    let text = pretty_format_batches(&session.collect(sql).await.unwrap()).unwrap().to_string();
    let cells = |line: &str| {
        let cells = line.split('|').map(str::trim).filter(|cell| !cell.is_empty());
        cells.collect::<Vec<_>>().join(" ")
    };
    text.lines().filter(|line| line.starts_with('|')).skip(1).map(cells).collect()
}
