//! Append, overwrite, the ledger, concurrency, and writes that die.

use std::sync::Arc;

use wardlake_core::{ErrorKind, HasErrorKind, LedgerEntry};
use wardlake_storage::{Commit, CommitOutcome, Follows, Lake, StorageError};

use crate::support::{data_files, failing, kv, lake, ledger, rows, rows_at, session, stream, table};

#[tokio::test(flavor = "multi_thread")]
async fn the_same_input_is_appended_once() {
    let lake = lake().await;
    let t = table("bronze.patients");
    let write = |commit: Commit| lake.append(&t, stream(kv(&[(Some(1), "a"), (None, "b")])), commit);
    let first = write(ledger(&[("file:x:aa", 1)])).await.unwrap();
    assert!(matches!(first, CommitOutcome::Committed { version: 0, rows: 2, bytes: 1.. }), "{first:?}");
    assert_eq!(write(ledger(&[("file:x:aa", 1)])).await.unwrap(), CommitOutcome::AlreadyApplied { version: 0 });
    assert_eq!(write(ledger(&[("file:x:bb", 1)])).await.unwrap().version(), 1);
    let partly = write(ledger(&[("file:x:aa", 1), ("file:x:cc", 1)])).await.unwrap_err();
    assert!(matches!(partly, StorageError::PartlyApplied { applied: 1, entries: 2, .. }), "{partly}");
    assert_eq!(rows(&lake, "bronze.patients").await, [",b", ",b", "1,a", "1,a"]);
    let consumed = lake.require(&t).await.unwrap().consumed_all().await.unwrap();
    assert_eq!(consumed.len(), 2);
    assert_eq!(data_files(&lake, "bronze.patients"), 2, "refused writes leave no files");
    // A second process sees the same ledger.
    let other = Lake::open(lake.url().as_str()).await.unwrap();
    let again = other.append(&t, stream(kv(&[(Some(9), "z")])), ledger(&[("file:x:bb", 1)])).await.unwrap();
    assert_eq!(again, CommitOutcome::AlreadyApplied { version: 1 });
}

#[tokio::test(flavor = "multi_thread")]
async fn upstream_tables_may_stand_still_while_others_move() {
    let lake = lake().await;
    let t = table("silver.t");
    let write = |entries: &'static [(&str, i64)]| lake.append(&t, stream(kv(&[(Some(1), "a")])), ledger(entries));
    write(&[("table:s.x", 3), ("table:s.y", 5)]).await.unwrap();
    assert_eq!(write(&[("table:s.x", 4), ("table:s.y", 5)]).await.unwrap().version(), 1);
    let applied = write(&[("table:s.x", 4), ("table:s.y", 5)]).await.unwrap();
    assert_eq!(applied, CommitOutcome::AlreadyApplied { version: 1 });
    let stale = write(&[("table:s.x", 3), ("table:s.y", 6)]).await.unwrap_err();
    assert_eq!(stale.kind(), ErrorKind::Conflict, "{stale}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_dies_leaves_nothing_and_can_be_run_again() {
    let lake = lake().await;
    let t = table("s.t");
    let died = lake.append(&t, failing(kv(&[(Some(1), "a")])), ledger(&[("in", 1)])).await.unwrap_err();
    assert_eq!(died.kind(), ErrorKind::Invalid, "{died}");
    assert!(!lake.exists(&t).await.unwrap());
    lake.append(&t, stream(kv(&[(Some(1), "a")])), ledger(&[("in", 1)])).await.unwrap();
    lake.overwrite(&t, failing(kv(&[(Some(2), "b")])), Commit::default()).await.unwrap_err();
    assert_eq!(rows(&lake, "s.t").await, ["1,a"]);
    assert_eq!(data_files(&lake, "s.t"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn writers_of_two_processes_lose_nothing() {
    let lake = lake().await;
    let t = table("s.t");
    let lakes = [Arc::clone(&lake.lake), Lake::open(lake.url().as_str()).await.unwrap()];
    let mut tasks = Vec::new();
    for i in 0..20i64 {
        let (lake, t) = (Arc::clone(&lakes[i as usize % 2]), t.clone());
        tasks.push(tokio::spawn(async move {
            lake.append(&t, stream(kv(&[(Some(i), "x")])), ledger(&[(&format!("in{i}"), 1)])).await.unwrap()
        }));
    }
    let mut versions = Vec::new();
    for task in tasks {
        versions.push(task.await.unwrap().version());
    }
    versions.sort();
    assert_eq!(versions, (0..20).collect::<Vec<_>>());
    assert_eq!(rows(&lake, "s.t").await.len(), 20);
    assert_eq!(lake.require(&t).await.unwrap().num_rows(), Some(20));
}

#[tokio::test(flavor = "multi_thread")]
async fn overwrite_replaces_rows_columns_and_partitioning() {
    let lake = lake().await;
    let t = table("gold.t");
    let commit = Commit { partition_by: vec!["v".into()], ..ledger(&[("up", 1)]) };
    lake.overwrite(&t, stream(kv(&[(Some(1), "a b/c"), (Some(2), "é")])), commit).await.unwrap();
    assert_eq!(lake.require(&t).await.unwrap().partition_columns(), ["v"]);
    assert_eq!(rows(&lake, "gold.t").await, ["1,a b/c", "2,é"]);
    let wider = crate::support::batch(&[("x", crate::support::texts(["new"]))]);
    let commit = Commit { reset_ledger: true, ..ledger(&[("other", 3)]) };
    assert_eq!(lake.overwrite(&t, stream(wider), commit).await.unwrap().version(), 1);
    let now = lake.require(&t).await.unwrap();
    assert_eq!(now.schema().fields().len(), 1);
    assert_eq!(now.consumed("up").await.unwrap(), None, "the old rows' input counts as not consumed");
    assert_eq!(now.consumed("other").await.unwrap(), Some(3));
    assert_eq!(rows(&lake, "gold.t").await, ["new"]);
    assert_eq!(rows_at(&lake, "gold.t", Some(0)).await, ["1,a b/c", "2,é"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a15_rows_made_from_one_version_are_not_laid_over_another() {
    let lake = lake().await;
    let other = Lake::open(lake.url().as_str()).await.unwrap();
    let t = table("s.t");
    let made_from = |follows| Commit { follows, ..Commit::default() };
    lake.overwrite(&t, stream(kv(&[(Some(1), "a")])), made_from(Follows::NoTable)).await.unwrap();
    // Both have read version 0, and the other process is first.
    other.overwrite(&t, stream(kv(&[(Some(1), "b")])), made_from(Follows::Version(0))).await.unwrap();
    for follows in [Follows::NoTable, Follows::Version(0), Follows::Version(2)] {
        for is_frequent in [false, true] {
            let commit = Commit { is_frequent, ..made_from(follows) };
            let late = lake.overwrite(&t, stream(kv(&[(Some(1), "c")])), commit).await.unwrap_err();
            assert!(matches!(late, StorageError::Conflict { .. }), "{follows:?}, {is_frequent}: {late}");
        }
    }
    assert_eq!(data_files(&lake, "s.t"), 2, "refused writes leave no files");
    lake.append(&t, stream(kv(&[(Some(2), "d")])), made_from(Follows::Version(1))).await.unwrap();
    assert_eq!(rows(&lake, "s.t").await, ["1,b", "2,d"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a14_a_note_is_in_the_table_if_and_only_if_its_commit_is() {
    let lake = lake().await;
    let t = table("s.t");
    let noting = |n| Commit { notes: vec![LedgerEntry::new("withheld:me", n)], ..ledger(&[("table:s.x", 1)]) };
    let noted = async || lake.require(&t).await.unwrap().consumed("withheld:me").await.unwrap();
    lake.append(&t, stream(kv(&[(Some(1), "a")])), noting(7)).await.unwrap();
    let again = lake.append(&t, stream(kv(&[(Some(1), "a")])), noting(8)).await.unwrap();
    assert_eq!(again, CommitOutcome::AlreadyApplied { version: 0 }, "a note makes no commit a new one");
    assert_eq!(noted().await, Some(7));
    let frequent = Commit { is_frequent: true, ledger: vec![LedgerEntry::new("table:s.x", 2)], ..noting(9) };
    lake.append(&t, stream(kv(&[(Some(2), "b")])), frequent).await.unwrap();
    assert_eq!(noted().await, Some(9));
    let anew = vec![LedgerEntry::new("table:s.x", 2), LedgerEntry::new("rebuild:1", 1)];
    let rebuilt = Commit { reset_ledger: true, ledger: anew, ..noting(10) };
    lake.overwrite(&t, stream(kv(&[(Some(3), "c")])), rebuilt).await.unwrap();
    assert_eq!(noted().await, Some(10), "what a rebuild notes is not what it forgets");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_small_streams_make_one_file_and_metadata_is_kept() {
    let lake = lake().await;
    let t = table("s.t");
    let streams = (0..8).flat_map(|i| stream(kv(&[(Some(i), "x")]))).collect();
    let mut commit = Commit::default();
    commit.metadata.insert("runId".into(), "r1".into());
    lake.append(&t, streams, commit).await.unwrap();
    let now = lake.require(&t).await.unwrap();
    assert_eq!((now.files().len(), now.num_rows()), (1, Some(8)));
    let history = now.history(None).await.unwrap();
    assert_eq!((history.len(), history[0].version, history[0].metadata["runId"].as_str()), (1, 0, Some("r1")));
}

#[tokio::test(flavor = "multi_thread")]
async fn three_hundred_commits_stay_cheap_and_keep_their_ledger() {
    let lake = lake().await;
    let t = table("s.t");
    for i in 0..300i64 {
        lake.append(&t, stream(kv(&[(Some(i), "x")])), ledger(&[(&format!("in{i}"), 1)])).await.unwrap();
    }
    let other = Lake::open(lake.url().as_str()).await.unwrap();
    let now = other.require(&t).await.unwrap();
    assert_eq!((now.version(), now.num_rows()), (299, Some(300)));
    let consumed = now.consumed_all().await.unwrap();
    assert_eq!(consumed.len(), 300, "entries from checkpoints and from the commits since");
    let log = lake.folder.path().join("s/t/_delta_log");
    assert!(log.join("00000000000000000299.checkpoint.parquet").exists());
    let outcome = other.append(&t, stream(kv(&[(Some(0), "x")])), ledger(&[("in7", 1)])).await.unwrap();
    assert_eq!(outcome, CommitOutcome::AlreadyApplied { version: 299 });
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_are_found_dropped_and_made_anew() {
    let lake = lake().await;
    assert!(lake.table_names().await.unwrap().is_empty());
    for name in ["gold.b", "gold.a", "bronze.c"] {
        lake.append(&table(name), stream(kv(&[(Some(1), "a")])), Commit::default()).await.unwrap();
    }
    std::fs::create_dir_all(lake.folder.path().join("gold/empty/_delta_log")).unwrap();
    std::fs::create_dir_all(lake.folder.path().join("_epochs")).unwrap();
    let names: Vec<_> = lake.table_names().await.unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(names, ["bronze.c", "gold.a", "gold.b"]);
    assert_eq!(lake.snapshot(&table("gold.none"), None).await.unwrap().map(|s| s.version()), None);
    lake.drop_table(&table("gold.a")).await.unwrap();
    assert!(lake.snapshot(&table("gold.a"), None).await.unwrap().is_none());
    lake.append(&table("gold.a"), stream(kv(&[(Some(2), "z")])), Commit::default()).await.unwrap();
    assert_eq!(rows(&lake, "gold.a").await, ["2,z"]);
    let missing = lake.snapshot(&table("gold.a"), Some(7)).await.unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lake_in_memory_works_like_one_on_disk() {
    let (one, two) = (Lake::open("memory://").await.unwrap(), Lake::open("memory://").await.unwrap());
    let t = table("s.t");
    for (lake, k) in [(&one, 1), (&two, 2)] {
        lake.append(&t, stream(kv(&[(Some(k), "a")])), ledger(&[("in", 1)])).await.unwrap();
    }
    assert_eq!(rows(&one, "s.t").await, ["1,a"]);
    assert_eq!(rows(&two, "s.t").await, ["2,a"]);
    let mut names = one.table_names().await.unwrap();
    assert_eq!(names.pop(), Some(t.clone()));
    let (session, spec) = (session(), wardlake_storage::MergeSpec::on(["k"]));
    one.merge(&session, &t, stream(kv(&[(Some(1), "b")])), spec, Commit::default()).await.unwrap();
    assert_eq!(rows(&one, "s.t").await, ["1,b"]);
}
