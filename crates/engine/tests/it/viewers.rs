//! What sessions share, they share by viewer.

use std::{path::Path, sync::Arc};

use arrow::{
    array::{ArrayRef, AsArray, Int64Array, RecordBatch},
    datatypes::Int64Type,
};
use datafusion::physical_plan::memory::MemoryStream;
use wardlake_access::{PrincipalId, SystemReason, Viewer};
use wardlake_engine::{Engine, EngineError, EngineOptions, ReadState};
use wardlake_storage::{Commit, Lake};

fn viewers() -> [Viewer; 6] {
    let owner = |user: &str| Viewer::Owner { user: user.into() };
    let principal = |name: &str| Viewer::Principal(PrincipalId::new(name));
    [
        Viewer::System(SystemReason::Wave),
        Viewer::System(SystemReason::Alert),
        owner("ward"),
        owner("billing"),
        principal("ward"),
        principal("billing"),
    ]
}

async fn beds(engine: &Engine, viewer: &Viewer) -> Result<i64, EngineError> {
    let session = engine.recurring_session(viewer.clone(), ReadState::Working)?;
    assert_eq!(session.viewer(), viewer);
    // The common table is worked out first and named twice.
    let sql = "with a as (select sum(beds) as beds from s.t) select a.beds from a inner join a as b on a.beds = b.beds";
    let rows = session.collect(sql).await?;
    let rows = rows.iter().find(|rows| rows.num_rows() > 0).unwrap();
    Ok(rows.column(0).as_primitive::<Int64Type>().value(0))
}

/// Takes away the data files of a table: only rows that are in memory can be read.
fn take_away_files(table: &Path) {
    let files = std::fs::read_dir(table).unwrap().map(|entry| entry.unwrap().path());
    let files: Vec<_> = files.filter(|path| path.extension().is_some_and(|own| own == "parquet")).collect();
    assert_eq!(files.len(), 1);
    std::fs::remove_file(&files[0]).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_viewers_share_no_rows_and_one_does() {
    for reader in viewers() {
        let folder = tempfile::tempdir().unwrap();
        let lake = Lake::open(&folder.path().to_string_lossy()).await.unwrap();
        let column: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 4]));
        let rows = RecordBatch::try_from_iter([("beds", column)]).unwrap();
        let stream = MemoryStream::try_new(vec![rows.clone()], rows.schema(), None).unwrap();
        lake.overwrite(&"s.t".parse().unwrap(), vec![Box::pin(stream)], Commit::default()).await.unwrap();
        let engine = Engine::new(lake, EngineOptions::default()).unwrap();
        assert_eq!(beds(&engine, &reader).await.unwrap(), 7);
        take_away_files(&folder.path().join("s").join("t"));
        for other in viewers() {
            let found = beds(&engine, &other).await.ok();
            // The reasons of the system have one key.
            let expected = (other.key() == reader.key()).then_some(7);
            assert_eq!(found, expected, "{reader:?} read, {other:?} asks");
        }
    }
}
