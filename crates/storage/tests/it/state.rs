//! What a table is, by our own replay of its log, is what the library reads of it: brought forward commit by commit, read anew, at every
//! version, whoever committed.

use std::collections::BTreeMap;

use arrow::datatypes::SchemaRef;
use deltalake::kernel::LogicalFileView;
use wardlake_core::TableName;
use wardlake_storage::{
    Commit, CommitOutcome, Lake, LogReaders, MergeSpec, OptimizeSpec, SchemaChange, StorageError, TableFile,
};

use crate::support::{TestLake, batch, ints, kv, lake, ledger, optimize, rows, rows_at, session, stream, table, texts};

/// All that tests here let a table consume.
const APP_IDS: [&str; 3] = ["feed", "other", "foreign"];

#[derive(Debug, PartialEq)]
struct View {
    version: u64,
    id: String,
    schema: SchemaRef,
    partition_by: Vec<String>,
    properties: BTreeMap<String, String>,
    files: Vec<TableFile>,
    consumed: BTreeMap<String, i64>,
}

async fn ours(lake: &Lake, name: &TableName, version: Option<u64>) -> View {
    let now = lake.snapshot(name, version).await.unwrap().unwrap();
    let mut files = now.files();
    files.sort_by(|a, b| a.path.cmp(&b.path));
    View {
        version: now.version(),
        id: now.table_id().to_owned(),
        schema: now.schema(),
        partition_by: now.partition_columns(),
        properties: now.properties(),
        files,
        consumed: now.consumed_all().await.unwrap().into_iter().collect(),
    }
}

async fn the_librarys(lake: &TestLake, name: &TableName) -> View {
    let url = lake.url().join(&format!("{}/{}/", name.schema(), name.name())).unwrap();
    let opened = deltalake::open_table(url).await.unwrap();
    let (state, log_store) = (opened.snapshot().unwrap(), opened.log_store());
    let file = |view: LogicalFileView| TableFile {
        path: view.path().into_owned(),
        bytes: view.size() as u64,
        rows: view.num_records().map(|rows| rows as u64),
        partition: view.partition_values_map().into_iter().collect(),
    };
    let mut files: Vec<TableFile> = state.log_data().into_iter().map(file).collect();
    files.sort_by(|a, b| a.path.cmp(&b.path));
    let mut consumed = BTreeMap::new();
    for app_id in APP_IDS {
        let version = state.transaction_version(log_store.as_ref(), app_id).await.unwrap();
        // A negative one says that it was set back.
        consumed.extend(version.filter(|version| *version >= 0).map(|version| (app_id.to_owned(), version)));
    }
    let properties = state.metadata().configuration().iter();
    View {
        version: state.version(),
        id: state.metadata().id().to_owned(),
        schema: state.snapshot().arrow_schema(),
        partition_by: state.metadata().partition_columns().to_vec(),
        properties: properties.map(|(key, value)| (key.clone(), value.clone())).collect(),
        files,
        consumed,
    }
}

/// The newest version, which is the same for whoever has followed it, opens it, or has the library read it; and so is each version that
/// was `seen` before.
async fn check(lake: &TestLake, name: &TableName, seen: &mut Vec<View>) {
    let now = ours(lake, name, None).await;
    let anew = Lake::open(lake.url().as_str()).await.unwrap();
    assert_eq!(ours(&anew, name, None).await, now);
    assert_eq!(the_librarys(lake, name).await, now);
    for view in seen.iter() {
        assert_eq!(ours(lake, name, Some(view.version)).await, *view);
        assert_eq!(ours(&anew, name, Some(view.version)).await, *view);
    }
    seen.push(now);
}

fn appending_columns(feed: i64) -> Commit {
    Commit { schema_change: SchemaChange::AppendNewColumns, ..ledger(&[("feed", feed)]) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_is_what_the_library_reads_at_every_version() {
    let (lake, t, mut seen) = (lake().await, table("s.t"), Vec::new());
    for feed in 0..3 {
        let commit = Commit { is_frequent: feed > 0, ..ledger(&[("feed", feed)]) };
        lake.append(&t, stream(kv(&[(Some(feed), "a"), (Some(feed + 10), "b")])), commit).await.unwrap();
        check(&lake, &t, &mut seen).await;
    }
    let wider = batch(&[("k", ints([7])), ("v", texts(["c"])), ("more", ints([1]))]);
    lake.append(&t, stream(wider), appending_columns(3)).await.unwrap();
    check(&lake, &t, &mut seen).await;
    let merged = kv(&[(Some(1), "new"), (Some(99), "new")]);
    let commit = ledger(&[("other", 1)]);
    lake.merge(&session(), &t, stream(merged), MergeSpec::on(["k"]), commit).await.unwrap();
    check(&lake, &t, &mut seen).await;
    lake.replace_where(&session(), &t, stream(kv(&[])), "k = 99", Commit::default()).await.unwrap();
    check(&lake, &t, &mut seen).await;
    lake.checkpoint(&t).await.unwrap();
    seen.pop();
    check(&lake, &t, &mut seen).await;
    optimize(&lake, &t, OptimizeSpec::all(64 << 20)).await.unwrap();
    check(&lake, &t, &mut seen).await;
    lake.restore(&t, 1, Commit::default()).await.unwrap();
    check(&lake, &t, &mut seen).await;
    assert_eq!(rows(&lake, "s.t").await, rows_at(&lake, "s.t", Some(1)).await);
    let commit = Commit { reset_ledger: true, ..ledger(&[("other", 5)]) };
    lake.overwrite(&t, stream(batch(&[("only", texts(["x"]))])), commit).await.unwrap();
    check(&lake, &t, &mut seen).await;
    assert_eq!(seen.last().unwrap().consumed, [("other".to_owned(), 5)].into());
    // Of a log that is cleaned, the newest version and those that are kept.
    lake.checkpoint(&t).await.unwrap();
    let kept = LogReaders { versions: [6].into(), changes_since: None };
    let gone = lake.clean_log(&t, &kept, std::time::Duration::ZERO, false).await.unwrap();
    assert!(!gone.files.is_empty());
    seen.pop();
    seen.retain(|view| view.version == 6);
    check(&lake, &t, &mut seen).await;
    let anew = Lake::open(lake.url().as_str()).await.unwrap();
    let missing = anew.snapshot(&t, Some(2)).await.unwrap_err();
    assert!(matches!(missing, StorageError::VersionNotFound { version: 2, .. }), "{missing}");
    lake.append(&t, stream(batch(&[("only", texts(["y"]))])), Commit::default()).await.unwrap();
    check(&lake, &t, &mut seen).await;
    assert_eq!(rows(&lake, "s.t").await, ["x", "y"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_without_a_value_are_known_through_a_checkpoint() {
    let (lake, t, mut seen) = (lake().await, table("s.t"), Vec::new());
    let part = |k: Option<&str>, n: i64| batch(&[("k", texts([k])), ("n", ints([n]))]);
    for (place, k) in [None, Some("a b/c"), Some("ü")].into_iter().enumerate() {
        let commit = Commit { partition_by: vec!["k".to_owned()], ..Commit::default() };
        lake.append(&t, stream(part(k, place as i64)), commit).await.unwrap();
        check(&lake, &t, &mut seen).await;
    }
    let before = rows(&lake, "s.t").await;
    lake.checkpoint(&t).await.unwrap();
    seen.pop();
    check(&lake, &t, &mut seen).await;
    // What was read of the checkpoint comes back as it was.
    let anew = Lake::open(lake.url().as_str()).await.unwrap();
    let commit = Commit { partition_by: vec!["k".to_owned()], ..Commit::default() };
    anew.overwrite(&t, stream(part(Some("c"), 9)), commit).await.unwrap();
    check(&lake, &t, &mut seen).await;
    anew.restore(&t, 2, Commit::default()).await.unwrap();
    check(&lake, &t, &mut seen).await;
    assert_eq!(rows(&lake, "s.t").await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn commits_of_others_are_followed() {
    let (lake, t, mut seen) = (lake().await, table("s.t"), Vec::new());
    for feed in 0..2 {
        lake.append(&t, stream(kv(&[(Some(feed), "x")])), ledger(&[("feed", feed)])).await.unwrap();
    }
    check(&lake, &t, &mut seen).await;
    // By another engine.
    let file = &seen[0].files[0];
    let entry = format!(
        "{{\"commitInfo\":{{\"operation\":\"DELETE\"}}}}\n{{\"txn\":{{\"appId\":\"foreign\",\"version\":9}}}}\n\
         {{\"remove\":{{\"path\":\"{}\",\"dataChange\":true,\"deletionTimestamp\":0}}}}\n",
        file.path
    );
    std::fs::write(lake.folder.path().join(format!("s/t/_delta_log/{:020}.json", 2)), entry).unwrap();
    check(&lake, &t, &mut seen).await;
    assert_eq!(seen[1].files.len(), 1);
    // By another process, in turn.
    let other = Lake::open(lake.url().as_str()).await.unwrap();
    for feed in 2..5 {
        let commit = ledger(&[("other", feed)]);
        other.append(&t, stream(kv(&[(Some(feed), "y")])), commit.clone()).await.unwrap();
        let again = lake.append(&t, stream(kv(&[(Some(feed), "y")])), commit).await.unwrap();
        assert!(matches!(again, CommitOutcome::AlreadyApplied { .. }), "{again:?}");
        lake.append(&t, stream(kv(&[(Some(feed), "z")])), ledger(&[("feed", feed)])).await.unwrap();
        check(&lake, &t, &mut seen).await;
    }
    let requires = Commit { requires: vec![("feed".to_owned(), Some(3))], ..ledger(&[("feed", 5)]) };
    let moved = lake.append(&t, stream(kv(&[(Some(5), "z")])), requires).await.unwrap_err();
    assert!(matches!(moved, StorageError::LedgerMoved { .. }), "{moved}");
    assert_eq!(rows(&lake, "s.t").await.len(), 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_made_anew_is_another() {
    let (lake, t, mut seen) = (lake().await, table("s.t"), Vec::new());
    for feed in 0..3 {
        lake.append(&t, stream(kv(&[(Some(feed), "old")])), ledger(&[("feed", feed)])).await.unwrap();
    }
    let old = lake.snapshot(&t, Some(1)).await.unwrap().unwrap();
    // By a process that does not share what this one knows.
    let other = Lake::open(lake.url().as_str()).await.unwrap();
    other.drop_table(&t).await.unwrap();
    assert!(lake.snapshot(&t, None).await.unwrap().is_none());
    for feed in 0..3 {
        other.append(&t, stream(kv(&[(Some(feed), "new")])), ledger(&[("other", feed)])).await.unwrap();
    }
    check(&lake, &t, &mut seen).await;
    assert_eq!(rows(&lake, "s.t").await, ["0,new", "1,new", "2,new"]);
    let gone = old.provider(&session()).await.map(drop).unwrap_err();
    assert!(matches!(gone, StorageError::TableNotFound { .. }), "{gone}");
}

#[tokio::test(flavor = "multi_thread")]
async fn checkpoints_of_several_files_are_read() {
    let (lake, t) = (lake().await, table("s.t"));
    for feed in 0..3 {
        lake.append(&t, stream(kv(&[(Some(feed), "x")])), ledger(&[("feed", feed)])).await.unwrap();
    }
    lake.checkpoint(&t).await.unwrap();
    let expected = ours(&lake, &t, None).await;
    let anew = async || {
        let anew = Lake::open(lake.url().as_str()).await.unwrap();
        ours(&anew, &t, None).await
    };
    let log = lake.folder.path().join("s/t/_delta_log");
    // Nothing else says what was before.
    for version in 0..2 {
        std::fs::remove_file(log.join(format!("{version:020}.json"))).unwrap();
    }
    let name = format!("{:020}.checkpoint", 2);
    let parts = log.join(format!("{name}.0000000001.0000000001.parquet"));
    std::fs::rename(log.join(format!("{name}.parquet")), &parts).unwrap();
    assert_eq!(anew().await, expected);
    // The kind that names its files.
    std::fs::create_dir(log.join("_sidecars")).unwrap();
    std::fs::rename(&parts, log.join("_sidecars/part.parquet")).unwrap();
    let lines = "{\"checkpointMetadata\":{\"version\":2}}\n\
                 {\"sidecar\":{\"path\":\"part.parquet\",\"sizeInBytes\":1,\"modificationTime\":0}}\n";
    std::fs::write(log.join(format!("{name}.80a083e8-7026-4e79-81be-64bd76c43a11.json")), lines).unwrap();
    assert_eq!(anew().await, expected);
}
