//! Rows whose columns differ from the table's.

use std::{collections::BTreeMap, sync::Arc};

use arrow::array::{ArrayRef, Decimal128Array, Float64Array, TimestampMicrosecondArray, UInt64Array};
use wardlake_storage::{Commit, Follows, SchemaChange, StorageError};

use crate::support::{TestLake, batch, ints, kv, lake, ledger, query, rows, rows_at, session, stream, table, texts};

async fn seeded() -> TestLake {
    let lake = lake().await;
    lake.append(&table("s.t"), stream(kv(&[(Some(1), "a")])), Commit::default()).await.unwrap();
    lake
}

fn mode(schema_change: SchemaChange) -> Commit {
    Commit { schema_change, ..Commit::default() }
}

fn changed() -> arrow::array::RecordBatch {
    batch(&[("k", ints([2])), ("x", texts(["new"]))])
}

#[tokio::test(flavor = "multi_thread")]
async fn ignore_keeps_the_tables_columns() {
    let lake = seeded().await;
    lake.append(&table("s.t"), stream(changed()), mode(SchemaChange::Ignore)).await.unwrap();
    assert_eq!(rows(&lake, "s.t").await, ["1,a", "2,"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn fail_names_every_difference() {
    let lake = seeded().await;
    let error = lake.append(&table("s.t"), stream(changed()), mode(SchemaChange::Fail)).await.unwrap_err();
    let StorageError::SchemaChanged { added, missing, retyped, .. } = error else { panic!("{error}") };
    assert_eq!((added, missing, retyped), (vec!["x".to_owned()], vec!["v".to_owned()], vec![]));
    lake.append(&table("s.t"), stream(kv(&[(Some(2), "b")])), mode(SchemaChange::Fail)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn append_new_columns_adds_them() {
    let lake = seeded().await;
    lake.append(&table("s.t"), stream(changed()), mode(SchemaChange::AppendNewColumns)).await.unwrap();
    assert_eq!(rows(&lake, "s.t").await, ["1,a,", "2,,new"]);
    // Text in a number's column is an error, never a NULL.
    let wrong = batch(&[("k", texts(["no number"]))]);
    let error = lake.append(&table("s.t"), stream(wrong), mode(SchemaChange::AppendNewColumns)).await.unwrap_err();
    assert!(matches!(&error, StorageError::Cast { column, .. } if column == "k"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sync_all_columns_rewrites_old_rows() {
    let lake = seeded().await;
    let retyped = batch(&[("x", texts(["new"])), ("k", texts(["two"]))]);
    lake.append(&table("s.t"), stream(retyped), mode(SchemaChange::SyncAllColumns)).await.unwrap();
    assert_eq!(rows(&lake, "s.t").await, [",1", "new,two"]);
    assert_eq!(rows_at(&lake, "s.t", Some(0)).await, ["1,a"]);
    // A dropped column that comes back does not bring its old values back.
    let back = batch(&[("x", texts(["x"])), ("k", texts(["three"])), ("v", texts(["v"]))]);
    lake.append(&table("s.t"), stream(back), mode(SchemaChange::SyncAllColumns)).await.unwrap();
    assert_eq!(rows(&lake, "s.t").await, [",1,", "new,two,", "x,three,v"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_see_values_to_their_last_digit() {
    let lake = lake().await;
    let (micros, money) = (1_700_000_000_123_456, 12_345_678_901_234_567_891);
    let decimals = Decimal128Array::from(vec![money]).with_precision_and_scale(38, 2).unwrap();
    let exact = batch(&[
        ("at", Arc::new(TimestampMicrosecondArray::from(vec![micros]).with_timezone("UTC")) as ArrayRef),
        ("local", Arc::new(TimestampMicrosecondArray::from(vec![micros])) as ArrayRef),
        ("money", Arc::new(decimals) as ArrayRef),
        ("text", texts(["ä".repeat(100).as_str()])),
    ]);
    lake.append(&table("s.t"), stream(exact), Commit::default()).await.unwrap();
    let nan = batch(&[("x", Arc::new(Float64Array::from(vec![1.0, f64::NAN])) as ArrayRef)]);
    let commit = mode(SchemaChange::AppendNewColumns);
    lake.append(&table("s.t"), stream(nan), commit).await.unwrap();
    let now = lake.require(&table("s.t")).await.unwrap();
    let filtered = "SELECT at, local, money, length(text) FROM t \
        WHERE at IS NOT NULL AND local > timestamp '2000-01-01' AND money > 0 AND text IS NOT NULL";
    let found = query(now.provider(&session()).await.unwrap(), filtered).await;
    assert_eq!(found, ["2023-11-14T22:13:20.123456Z,2023-11-14T22:13:20.123456,123456789012345678.91,100"]);
    let nans = query(now.provider(&session()).await.unwrap(), "SELECT x FROM t WHERE x IS NOT NULL ORDER BY x").await;
    assert_eq!(nans, ["1.0", "NaN"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_types_are_stored_and_naive_timestamps_need_their_feature() {
    let lake = seeded().await;
    let odd = batch(&[
        ("big", Arc::new(UInt64Array::from(vec![u64::MAX])) as ArrayRef),
        ("local", Arc::new(TimestampMicrosecondArray::from(vec![1_700_000_000_000_000])) as ArrayRef),
        ("utc", Arc::new(TimestampMicrosecondArray::from(vec![0]).with_timezone("+02:00")) as ArrayRef),
    ]);
    lake.append(&table("s.t"), stream(odd), mode(SchemaChange::AppendNewColumns)).await.unwrap();
    let now = lake.require(&table("s.t")).await.unwrap();
    let found =
        query(now.provider(&session()).await.unwrap(), "SELECT big, local, utc FROM t WHERE big IS NOT NULL").await;
    assert_eq!(found, ["18446744073709551615,2023-11-14T22:13:20,1970-01-01T00:00:00Z"]);
    let filtered = "SELECT count(*) FROM t WHERE local = timestamp '2023-11-14 22:13:20' AND big > 9e18";
    assert_eq!(query(now.provider(&session()).await.unwrap(), filtered).await, ["1"]);
    let log = lake.folder.path().join("s/t/_delta_log/00000000000000000001.json");
    assert!(std::fs::read_to_string(log).unwrap().contains("timestampNtz"));
}

#[tokio::test(flavor = "multi_thread")]
async fn b11_all_rows_columns_and_properties_change_in_one_commit_that_follows_on_what_was_read() {
    let lake = lake().await;
    let name = table("s.t");
    let with = |value: &str| Commit {
        properties: BTreeMap::from([("wardlake.x".to_owned(), value.to_owned())]),
        ..Commit::default()
    };
    let consumed = Commit { properties: with("old").properties, ..ledger(&[("file:a", 1)]) };
    lake.append(&name, stream(kv(&[(Some(1), "a")])), consumed).await.unwrap();
    let property = async || lake.require(&name).await.unwrap().properties().remove("wardlake.x");
    assert_eq!(property().await.as_deref(), Some("old"));
    assert_eq!(lake.set_properties(&name, with("set")).await.unwrap(), 1);
    assert_eq!((rows(&lake, "s.t").await, property().await.as_deref()), (vec!["1,a".to_owned()], Some("set")));
    let read = lake.require(&name).await.unwrap();
    let id = read.table_id();
    lake.append(&name, stream(kv(&[(Some(2), "b")])), Commit::default()).await.unwrap();
    let follows = |version: u64| Commit { follows: Follows::Version(version), ..with("new") };
    let staged = async || {
        let first = lake.stage(&name, stream(changed()), &Commit::default()).await.unwrap();
        let other = batch(&[("x", texts(["more"])), ("y", texts(["last"]))]);
        vec![first, lake.stage(&name, stream(other), &Commit::default()).await.unwrap()]
    };
    let error = lake.overwrite_staged(&name, staged().await, follows(read.version())).await.unwrap_err();
    assert!(matches!(error, StorageError::Conflict { .. }), "{error}");
    assert_eq!(rows(&lake, "s.t").await, ["1,a", "2,b"]);
    lake.overwrite_staged(&name, staged().await, follows(2)).await.unwrap();
    assert_eq!(rows(&lake, "s.t").await, [",more,last", "2,new,"]);
    assert_eq!(rows_at(&lake, "s.t", Some(2)).await, ["1,a", "2,b"]);
    let now = lake.require(&name).await.unwrap();
    assert_eq!((now.table_id(), now.consumed("file:a").await.unwrap()), (id, Some(1)));
    assert_eq!(property().await.as_deref(), Some("new"));
    // Without a row it keeps its columns.
    lake.overwrite_staged(&name, Vec::new(), Commit::default()).await.unwrap();
    let columns: Vec<String> =
        lake.require(&name).await.unwrap().schema().fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!((rows(&lake, "s.t").await.len(), columns.join(",").as_str()), (0, "k,x,y"));
}
