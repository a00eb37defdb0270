//! Snapshots by dbt's rules.

use std::sync::Arc;

use arrow::array::{ArrayRef, TimestampMicrosecondArray};
use chrono::{DateTime, Utc};
use wardlake_storage::{
    Commit, CommitOutcome, HardDeletes, Scd2Columns, Scd2Outcome, Scd2Spec, Scd2Strategy, StorageError,
};

use crate::support::{TestLake, batch, ints, lake, ledger, query, session, stream, table, texts};

type Row<'a> = (i64, &'a str, i64);

/// Rows of key, value, and the day of their last change.
fn source(rows: &[Row<'_>]) -> arrow::array::RecordBatch {
    let days = rows.iter().map(|row| row.2 * 86_400_000_000).collect::<Vec<_>>();
    batch(&[
        ("id", ints(rows.iter().map(|row| row.0))),
        ("v", texts(rows.iter().map(|row| row.1))),
        ("at", Arc::new(TimestampMicrosecondArray::from(days).with_timezone("UTC")) as ArrayRef),
    ])
}

fn day(day: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(day * 86_400, 0).unwrap()
}

fn spec(strategy: Scd2Strategy, hard_deletes: HardDeletes, now: i64) -> Scd2Spec {
    Scd2Spec {
        key: vec!["id".into()],
        strategy,
        hard_deletes,
        valid_to_current: None,
        columns: Scd2Columns::default(),
        now: day(now),
    }
}

fn timestamp() -> Scd2Strategy {
    Scd2Strategy::Timestamp { updated_at: "at".into() }
}

fn check() -> Scd2Strategy {
    Scd2Strategy::Check { columns: Some(vec!["v".into()]) }
}

async fn run(lake: &TestLake, rows: &[Row<'_>], spec: Scd2Spec) -> Scd2Outcome {
    let commit = Commit::default();
    lake.scd2_apply(&session(), &table("snap.t"), stream(source(rows)), spec, commit).await.unwrap()
}

/// id, value, first and last day of validity.
async fn versions(lake: &TestLake, extra: &str) -> Vec<String> {
    let now = lake.require(&table("snap.t")).await.unwrap();
    let day = |column: &str| format!("CAST(extract(epoch FROM {column}) / 86400 AS BIGINT)");
    let sql = format!(
        "SELECT id, v, {}, {} {extra} FROM t ORDER BY id, dbt_valid_from, v",
        day("dbt_valid_from"),
        day("dbt_valid_to")
    );
    query(now.provider(&session()).await.unwrap(), &sql).await
}

#[tokio::test(flavor = "multi_thread")]
async fn timestamp_strategy_opens_and_closes_versions() {
    let lake = lake().await;
    let spec = |now| spec(timestamp(), HardDeletes::Ignore, now);
    let first = run(&lake, &[(1, "a", 1), (2, "b", 1)], spec(1)).await;
    assert_eq!((first.opened, first.closed), (2, 0));
    // 1 changed, 2 has a tie, 3 is new.
    let second = run(&lake, &[(1, "A", 2), (2, "tie", 1), (3, "c", 2)], spec(2)).await;
    assert_eq!((second.opened, second.closed, second.deleted, second.ties), (2, 1, 0, 1));
    assert_eq!(versions(&lake, "").await, ["1,a,1,2", "1,A,2,", "2,b,1,", "3,c,2,"]);
    // Nothing new: nothing is written. A row that is older than the current version is not a change.
    let third = run(&lake, &[(1, "A", 2), (3, "old", 1)], spec(3)).await;
    assert!(matches!(third.commit, CommitOutcome::AlreadyApplied { version: 1 }), "{third:?}");
    assert_eq!((third.opened, third.closed, third.ties), (0, 0, 1));
    let ids = versions(&lake, ", length(dbt_scd_id)").await;
    assert!(ids.iter().all(|row| row.ends_with(",32")), "{ids:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn check_strategy_compares_columns_null_included() {
    let lake = lake().await;
    let spec = |now| spec(check(), HardDeletes::Ignore, now);
    run(&lake, &[(1, "a", 1), (2, "b", 1)], spec(5)).await;
    run(&lake, &[(1, "a", 9), (2, "B", 1)], spec(6)).await;
    assert_eq!(versions(&lake, "").await, ["1,a,5,", "2,b,5,6", "2,B,6,"]);
    let null = batch(&[("id", ints([1])), ("v", texts([None])), ("at", source(&[(1, "", 1)]).column(2).clone())]);
    lake.scd2_apply(&session(), &table("snap.t"), stream(null), spec(7), Commit::default()).await.unwrap();
    assert_eq!(versions(&lake, "").await, ["1,a,5,7", "1,,7,", "2,b,5,6", "2,B,6,"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_leave_are_closed_when_asked() {
    let lake = lake().await;
    let spec = |now| spec(timestamp(), HardDeletes::Invalidate, now);
    run(&lake, &[(1, "a", 1), (2, "b", 1)], spec(1)).await;
    let gone = run(&lake, &[(1, "a", 1)], spec(4)).await;
    assert_eq!((gone.opened, gone.closed, gone.deleted), (0, 1, 1));
    assert_eq!(versions(&lake, "").await, ["1,a,1,", "2,b,1,4"]);
    run(&lake, &[(1, "a", 1), (2, "back", 6)], spec(6)).await;
    assert_eq!(versions(&lake, "").await, ["1,a,1,", "2,b,1,4", "2,back,6,"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn deletions_can_be_versions_of_their_own() {
    let lake = lake().await;
    let spec = |now| spec(timestamp(), HardDeletes::NewRecord, now);
    run(&lake, &[(1, "a", 1), (2, "b", 1)], spec(1)).await;
    run(&lake, &[(1, "a", 1)], spec(4)).await;
    let deleted = ["1,a,1,,False", "2,b,1,4,False", "2,b,4,,True"];
    assert_eq!(versions(&lake, ", dbt_is_deleted").await, deleted);
    let again = run(&lake, &[(1, "a", 1)], spec(5)).await;
    assert_eq!((again.opened, again.closed), (0, 0), "a deletion is recorded once");
    // The row comes back as it was: valid from now, not from before its deletion.
    run(&lake, &[(1, "a", 1), (2, "b", 1)], spec(6)).await;
    let back = ["1,a,1,,False", "2,b,1,4,False", "2,b,4,6,True", "2,b,6,,False"];
    assert_eq!(versions(&lake, ", dbt_is_deleted").await, back);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_literal_can_stand_for_still_valid_and_columns_can_be_renamed() {
    let lake = lake().await;
    let spec = |now| Scd2Spec {
        valid_to_current: Some("timestamp '1970-12-31'".into()),
        columns: Scd2Columns { scd_id: "version_id".into(), ..Scd2Columns::default() },
        ..spec(timestamp(), HardDeletes::Invalidate, now)
    };
    run(&lake, &[(1, "a", 1), (2, "b", 1)], spec(1)).await;
    run(&lake, &[(1, "A", 2)], spec(3)).await;
    assert_eq!(versions(&lake, ", length(version_id)").await, ["1,a,1,2,32", "1,A,2,364,32", "2,b,1,3,32"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn new_and_lost_columns() {
    let lake = lake().await;
    let all = Scd2Strategy::Check { columns: None };
    run(&lake, &[(1, "a", 1)], spec(all.clone(), HardDeletes::Ignore, 1)).await;
    let wider = batch(&[("id", ints([1])), ("at", source(&[(1, "", 1)]).column(2).clone()), ("x", texts([None]))]);
    let apply = |now| {
        let rows = stream(wider.clone());
        let (lake, spec) = (&lake, spec(all.clone(), HardDeletes::Ignore, now));
        async move { lake.scd2_apply(&session(), &table("snap.t"), rows, spec, Commit::default()).await.unwrap() }
    };
    assert_eq!(apply(2).await.opened, 1, "a column that is new to the table changes every row");
    assert_eq!(versions(&lake, ", x").await, ["1,a,1,2,", "1,,2,,"]);
    assert_eq!(apply(3).await.opened, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_unique_and_present_and_input_is_taken_once() {
    let lake = lake().await;
    let t = table("snap.t");
    let spec = || spec(timestamp(), HardDeletes::Ignore, 1);
    let apply = |rows: arrow::array::RecordBatch| {
        let (lake, t) = (&lake, &t);
        async move { lake.scd2_apply(&session(), t, stream(rows), spec(), ledger(&[("up", 1)])).await }
    };
    let twice = apply(source(&[(1, "a", 1), (1, "b", 2)])).await.unwrap_err();
    assert!(matches!(twice, StorageError::DuplicateKeys { keys: 1, .. }), "{twice}");
    let null = batch(&[("id", ints([None])), ("at", source(&[(1, "", 1)]).column(2).clone())]);
    let null = apply(null).await.unwrap_err();
    assert!(matches!(null, StorageError::NullKeys { rows: 1, .. }), "{null}");
    apply(source(&[(1, "a", 1)])).await.unwrap();
    let again = apply(source(&[(1, "b", 2)])).await.unwrap();
    assert_eq!(again.commit, CommitOutcome::AlreadyApplied { version: 0 });
}
