//! Rows and ledger entries that go with age.

use std::sync::Arc;

use arrow::array::{ArrayRef, TimestampMicrosecondArray};
use chrono::{DateTime, Duration, Utc};
use wardlake_storage::{Commit, Expiry, Lake};

use crate::support::{TestLake, batch, data_files, kv, lake, ledger, rows, session, stream, table, texts};

fn day(number: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + Duration::days(number)
}

/// Appends one file of rows, each with its day; none for a row without.
async fn append(lake: &TestLake, days: &[Option<i64>]) {
    let at = |number: &Option<i64>| number.map(|number| day(number).timestamp_micros());
    let at = Arc::new(days.iter().map(at).collect::<TimestampMicrosecondArray>().with_timezone("UTC")) as ArrayRef;
    let names: Vec<String> = days.iter().map(|number| format!("{number:?}")).collect();
    let rows = batch(&[("name", texts(names.iter().map(|name| name.as_str()))), ("at", at)]);
    lake.append(&table("s.t"), stream(rows), Commit::default()).await.unwrap();
}

async fn names(lake: &TestLake) -> Vec<String> {
    rows(lake, "s.t").await.iter().map(|row| row.split(',').next().unwrap().to_owned()).collect()
}

async fn expire(lake: &TestLake, before: i64, dry_run: bool) -> u64 {
    let expiry = Expiry { column: "at", before: day(before), overdue: Duration::days(5) };
    let base = lake.require(&table("s.t")).await.unwrap();
    lake.expire(&session(), &base, expiry, dry_run).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_past_their_time_go_and_files_are_rewritten_when_it_is_worth_it() {
    let lake = lake().await;
    append(&lake, &[Some(1), Some(2)]).await;
    append(&lake, &[Some(3), Some(30), None]).await;
    append(&lake, &[Some(31), Some(32)]).await;
    // Day 3 is not overdue for so long that its file would be read.
    assert_eq!(expire(&lake, 5, true).await, 2);
    assert_eq!(names(&lake).await.len(), 7);
    assert_eq!(expire(&lake, 5, false).await, 2);
    assert_eq!(names(&lake).await, ["None", "Some(3)", "Some(30)", "Some(31)", "Some(32)"]);
    assert_eq!(data_files(&lake, "s.t"), 3, "nothing was written");
    assert_eq!((expire(&lake, 5, false).await, expire(&lake, 10, true).await), (0, 1));
    assert_eq!(expire(&lake, 10, false).await, 1);
    assert_eq!(names(&lake).await, ["None", "Some(30)", "Some(31)", "Some(32)"]);
    // What checkpoints say of files is believed as well, and a row without an instant stays.
    lake.checkpoint(&table("s.t")).await.unwrap();
    let other = Lake::open(lake.url().as_str()).await.unwrap();
    let other = TestLake { lake: other, folder: lake.folder };
    assert_eq!(expire(&other, 100, false).await, 3);
    assert_eq!(names(&other).await, ["None"]);
    assert_eq!(expire(&other, 100, false).await, 0);
    let changes = other.require(&table("s.t")).await.unwrap().version();
    assert_eq!(changes, 5, "nothing to do is no commit");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_of_runs_does_not_grow_for_ever() {
    let (lake, t) = (lake().await, table("s.t"));
    for i in 0..60 {
        let run = format!("run:{i}");
        lake.append(&t, stream(kv(&[(Some(i), "x")])), ledger(&[(run.as_str(), 1)])).await.unwrap();
    }
    let entries = async || {
        let other = Lake::open(lake.url().as_str()).await.unwrap();
        other.require(&t).await.unwrap().consumed_all().await.unwrap().len()
    };
    assert!(lake.expire_ledger(&t, 30).await.unwrap());
    assert!(!lake.expire_ledger(&t, 30).await.unwrap(), "it is said once");
    lake.checkpoint(&t).await.unwrap();
    assert_eq!(entries().await, 60, "what is young stays");
    assert!(lake.expire_ledger(&t, 0).await.unwrap());
    lake.checkpoint(&t).await.unwrap();
    assert_eq!(entries().await, 0);
    assert_eq!(rows(&lake, "s.t").await.len(), 60);
    lake.append(&t, stream(kv(&[(Some(60), "x")])), ledger(&[("run:60", 1)])).await.unwrap();
    assert_eq!((entries().await, rows(&lake, "s.t").await.len()), (1, 61));
}
