//! Merge, delete and insert, replace where.

use wardlake_storage::{Commit, CommitOutcome, DeleteInsertSpec, MergeSpec, StorageError};

use crate::support::{TestLake, batch, ints, kv, lake, ledger, rows, session, stream, table, texts};

async fn seeded() -> TestLake {
    let lake = lake().await;
    for rows in [&[(Some(1), "a"), (Some(2), "b"), (None, "null")], &[(Some(10), "j"), (Some(11), "k"), (None, "n")]] {
        lake.append(&table("s.t"), stream(kv(rows)), Commit::default()).await.unwrap();
    }
    lake
}

async fn merge(
    lake: &TestLake,
    source: &[(Option<i64>, &str)],
    spec: MergeSpec,
) -> Result<CommitOutcome, StorageError> {
    lake.merge(&session(), &table("s.t"), stream(kv(source)), spec, Commit::default()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn matches_are_updated_the_rest_is_inserted_and_null_never_matches() {
    let lake = seeded().await;
    let outcome = merge(&lake, &[(Some(2), "B"), (Some(3), "c"), (None, "more")], MergeSpec::on(["k"])).await.unwrap();
    assert_eq!(outcome.rows(), 5, "the second file, which holds no match, is left alone");
    assert_eq!(rows(&lake, "s.t").await, [",more", ",n", ",null", "1,a", "10,j", "11,k", "2,B", "3,c"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn repeated_keys_are_an_error_that_quotes_no_value() {
    let lake = seeded().await;
    let source = [(Some(777), "x"), (Some(777), "y"), (Some(888), "x"), (Some(888), "x"), (None, "p"), (None, "q")];
    let error = merge(&lake, &source, MergeSpec::on(["k"])).await.unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, StorageError::DuplicateKeys { keys: 2, .. }), "{text}");
    assert!(text.contains("key: k") && !text.contains("777"), "{text}");
    assert_eq!(lake.newest_version(&table("s.t")).await.unwrap(), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merge_without_effect_still_records_its_input() {
    let lake = seeded().await;
    let t = table("s.t");
    let spec = || MergeSpec { insert: false, ..MergeSpec::on(["k"]) };
    let session = session();
    let run = || lake.merge(&session, &t, stream(kv(&[(Some(99), "z")])), spec(), ledger(&[("table:up", 5)]));
    assert_eq!(run().await.unwrap(), CommitOutcome::Committed { version: 2, rows: 0, bytes: 0 });
    assert_eq!(lake.require(&t).await.unwrap().consumed("table:up").await.unwrap(), Some(5));
    assert_eq!(run().await.unwrap(), CommitOutcome::AlreadyApplied { version: 2 });
    // Without anything to record, nothing is committed.
    assert_eq!(merge(&lake, &[(Some(99), "z")], spec()).await.unwrap(), CommitOutcome::AlreadyApplied { version: 2 });
}

#[tokio::test(flavor = "multi_thread")]
async fn clauses_choose_what_is_written() {
    let lake = seeded().await;
    let insert_only = MergeSpec { update_columns: Some(vec![]), ..MergeSpec::on(["k"]) };
    let outcome = merge(&lake, &[(Some(1), "A"), (Some(5), "e")], insert_only).await.unwrap();
    assert_eq!(outcome.rows(), 1, "no file is rewritten");
    let predicate = MergeSpec { predicates: vec!["DBT_INTERNAL_DEST.k > 1".into()], ..MergeSpec::on(["k"]) };
    merge(&lake, &[(Some(2), "B")], predicate).await.unwrap();
    let gone = MergeSpec { delete_missing: true, exclude_columns: vec!["v".into()], ..MergeSpec::on(["k"]) };
    merge(&lake, &[(Some(1), "x"), (Some(2), "x"), (Some(7), "g")], gone).await.unwrap();
    assert_eq!(rows(&lake, "s.t").await, ["1,a", "2,B", "7,g"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_that_only_one_side_has() {
    let lake = seeded().await;
    let source = batch(&[("k", ints([1, 50])), ("x", texts(["new", "new"]))]);
    let commit = Commit { schema_change: wardlake_storage::SchemaChange::AppendNewColumns, ..Commit::default() };
    lake.merge(&session(), &table("s.t"), stream(source), MergeSpec::on(["k"]), commit).await.unwrap();
    assert_eq!(rows(&lake, "s.t").await, [",n,", ",null,", "1,a,new", "10,j,", "11,k,", "2,b,", "50,,new"]);
    let missing =
        lake.merge(&session(), &table("s.t"), stream(kv(&[])), MergeSpec::on(["nope"]), Commit::default()).await;
    assert!(matches!(missing, Err(StorageError::ColumnNotFound { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn delete_insert_replaces_all_rows_of_the_keys() {
    let lake = seeded().await;
    let spec = || DeleteInsertSpec { keys: vec!["k".into()], ..Default::default() };
    let source = kv(&[(Some(1), "A1"), (Some(1), "A2"), (None, "x")]);
    lake.delete_insert(&session(), &table("s.t"), stream(source), spec(), Commit::default()).await.unwrap();
    assert_eq!(rows(&lake, "s.t").await, [",n", ",null", ",x", "1,A1", "1,A2", "10,j", "11,k", "2,b"]);
    let null_safe = DeleteInsertSpec { null_safe: true, ..spec() };
    lake.delete_insert(&session(), &table("s.t"), stream(kv(&[(None, "only")])), null_safe, Commit::default())
        .await
        .unwrap();
    assert_eq!(rows(&lake, "s.t").await, [",only", "1,A1", "1,A2", "10,j", "11,k", "2,b"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_are_overwritten() {
    let lake = lake().await;
    let t = table("s.p");
    let commit = || Commit { partition_by: vec!["v".into()], ..Commit::default() };
    lake.append(&t, stream(kv(&[(Some(1), "x y"), (Some(2), "x y"), (Some(3), "z/%")])), commit()).await.unwrap();
    let spec = DeleteInsertSpec { keys: vec!["v".into()], null_safe: true, ..Default::default() };
    lake.delete_insert(&session(), &t, stream(kv(&[(Some(9), "x y")])), spec, commit()).await.unwrap();
    assert_eq!(rows(&lake, "s.p").await, ["3,z/%", "9,x y"]);
    assert_eq!(lake.require(&t).await.unwrap().partition_columns(), ["v"]);
    lake.merge(&session(), &t, stream(kv(&[(Some(3), "moved")])), MergeSpec::on(["k"]), commit()).await.unwrap();
    assert_eq!(rows(&lake, "s.p").await, ["3,moved", "9,x y"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn replace_where_replaces_a_part() {
    let lake = seeded().await;
    let t = table("s.t");
    let run = |source: &[(Option<i64>, &str)], predicate: &str| {
        let (source, predicate) = (stream(kv(source)), predicate.to_owned());
        let (lake, t) = (&lake, &t);
        async move { lake.replace_where(&session(), t, source, &predicate, Commit::default()).await }
    };
    run(&[(Some(12), "l")], "k >= 10").await.unwrap();
    assert_eq!(rows(&lake, "s.t").await, [",n", ",null", "1,a", "12,l", "2,b"]);
    let outside = run(&[(Some(3), "c"), (None, "d")], "k >= 10").await.unwrap_err();
    assert!(matches!(outside, StorageError::OutsidePredicate { rows: 2, .. }), "{outside}");
    run(&[], "v = 'n' OR v = 'null'").await.unwrap();
    assert_eq!(rows(&lake, "s.t").await, ["1,a", "12,l", "2,b"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_merge_creates_the_table() {
    let lake = lake().await;
    merge(&lake, &[(Some(1), "a")], MergeSpec::on(["k"])).await.unwrap();
    merge(&lake, &[(Some(1), "b")], MergeSpec::on(["k"])).await.unwrap();
    assert_eq!(rows(&lake, "s.t").await, ["1,b"]);
}
