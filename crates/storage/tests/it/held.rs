//! Rows in memory and rows looked up by key are those a scan finds.

use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::datasource::MemTable;
use wardlake_access::{SystemReason, Viewer};
use wardlake_storage::{Commit, HeldFiles, HeldRows, OptimizeSpec, SchemaChange};

use crate::support::{TestLake, batch, ints, lake, optimize, query, session, stream, table, texts};

/// What the system holds, before it has read anything.
fn nothing_held() -> HeldRows {
    HeldFiles::default().of(Viewer::System(SystemReason::Test).key())
}

/// `count` rows from `first` on: a number, a key that every eighth row lacks, a text that does not compress.
fn numbered(first: i64, count: i64) -> RecordBatch {
    let numbers = first..first + count;
    let key = |n: i64| (n % 8 != 0).then(|| format!("K{}", n % 1000));
    let keys: Vec<Option<String>> = numbers.clone().map(key).collect();
    let noise: Vec<String> = numbers.clone().map(|n| format!("{:x}", n.wrapping_mul(0x1e37_79b9_7f4a_7c15))).collect();
    batch(&[
        ("n", ints(numbers)),
        ("k", texts(keys.iter().map(Option::as_deref))),
        ("noise", texts(noise.iter().map(|text| Some(text.as_str())))),
    ])
}

async fn sorted(rows: Vec<RecordBatch>) -> Vec<String> {
    let Some(first) = rows.first() else { return Vec::new() };
    let held = Arc::new(MemTable::try_new(first.schema(), vec![rows]).unwrap());
    query(held, "SELECT n, k, noise FROM t ORDER BY n, noise").await
}

async fn found(lake: &TestLake, held: &HeldRows, keys: &[(Option<&str>, i64)]) -> (Vec<String>, Vec<String>) {
    let now = lake.require(&table("s.t")).await.unwrap();
    let columns = ["k".to_owned(), "n".to_owned()];
    let wanted = batch(&[("a", texts(keys.iter().map(|key| key.0))), ("b", ints(keys.iter().map(|key| key.1)))]);
    let rows = held.matching(&now, &columns, &wanted).await.unwrap().unwrap();
    let named = keys.iter().filter_map(|(key, n)| Some(format!("(k = '{}' AND n = {n})", (*key)?)));
    let condition = named.collect::<Vec<_>>().join(" OR ");
    let sql = format!("SELECT n, k, noise FROM t WHERE {condition} ORDER BY n, noise");
    (sorted(rows).await, query(now.provider(&session()).await.unwrap(), &sql).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_found_by_key_in_small_and_large_files() {
    let lake = lake().await;
    let held = nothing_held();
    let append = async |first: i64, count: i64| {
        lake.append(&table("s.t"), stream(numbered(first, count)), Commit::default()).await.unwrap();
    };
    append(0, 200_000).await;
    append(200_000, 10).await;
    let keys =
        [(Some("K3"), 3), (Some("K4"), 3), (Some("K17"), 90_017), (None, 8), (Some("K1"), 200_001), (Some("-"), 1)];
    let (own, scanned) = found(&lake, &held, &keys).await;
    assert_eq!(own.len(), 3);
    assert_eq!(own, scanned);
    // More files, and then other files with the same rows.
    append(300_000, 3).await;
    let more = [keys.as_slice(), &[(Some("K2"), 300_002), (Some("K999"), 199_999)]].concat();
    for _ in 0..2 {
        let (own, scanned) = found(&lake, &held, &more).await;
        assert_eq!(own.len(), 5);
        assert_eq!(own, scanned);
        let spec = OptimizeSpec { held: Some(&held), ..OptimizeSpec::all(64 << 20) };
        optimize(&lake, &table("s.t"), spec).await;
    }
    let now = lake.require(&table("s.t")).await.unwrap();
    assert_eq!(now.files().len(), 1);
    assert!(now.files()[0].bytes > 1 << 20, "the large file is to be large");
    // A column that came later is NULL in older rows.
    let commit = Commit { schema_change: SchemaChange::AppendNewColumns, ..Commit::default() };
    let wider = batch(&[("n", ints([7])), ("k", texts(["K7"])), ("noise", texts(["x"])), ("more", ints([1]))]);
    lake.append(&table("s.t"), stream(wider), commit).await.unwrap();
    let (own, scanned) = found(&lake, &held, &[(Some("K7"), 7)]).await;
    assert_eq!(own.len(), 2);
    assert_eq!(own, scanned);
}

#[tokio::test(flavor = "multi_thread")]
async fn small_tables_and_news_are_held_and_others_are_not() {
    let lake = lake().await;
    let held = nothing_held();
    let mut versions = Vec::new();
    for first in [0, 100, 200] {
        let written = lake.append(&table("s.t"), stream(numbered(first, 100)), Commit::default()).await.unwrap();
        versions.push(written.version());
    }
    let now = lake.require(&table("s.t")).await.unwrap();
    let scan = async |sql: &str| query(now.provider(&session()).await.unwrap(), sql).await;
    for _ in 0..2 {
        let all = held.table(&now).await.unwrap().unwrap();
        assert_eq!(sorted(all).await, scan("SELECT n, k, noise FROM t ORDER BY n, noise").await);
        let news = held.appended_since(&now, Some(versions[1])).await.unwrap().unwrap();
        assert_eq!(sorted(news).await, scan("SELECT n, k, noise FROM t WHERE n >= 200 ORDER BY n").await);
    }
    assert_eq!(held.appended_since(&now, Some(versions[2])).await.unwrap().unwrap().len(), 0);
    // What was merged before it was read is news all the same, and what was read before is none.
    optimize(&lake, &table("s.t"), OptimizeSpec::all(64 << 20)).await.unwrap();
    let merged = lake.require(&table("s.t")).await.unwrap();
    let news = nothing_held().appended_since(&merged, Some(versions[1])).await.unwrap().unwrap();
    assert_eq!(sorted(news).await, scan("SELECT n, k, noise FROM t WHERE n >= 200 ORDER BY n").await);
    assert_eq!(held.appended_since(&merged, Some(versions[2])).await.unwrap().unwrap().len(), 0);
    let commit = Commit { partition_by: vec!["k".to_owned()], ..Commit::default() };
    lake.append(&table("s.parted"), stream(numbered(0, 10)), commit).await.unwrap();
    let parted = lake.require(&table("s.parted")).await.unwrap();
    assert!(held.table(&parted).await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trim_leaves_what_came_meanwhile() {
    let lake = lake().await;
    let append = async |first: i64| {
        lake.append(&table("s.t"), stream(numbered(first, 4)), Commit::default()).await.unwrap().version()
    };
    append(0).await;
    append(10).await;
    let base = lake.require(&table("s.t")).await.unwrap();
    let seen = append(20).await;
    let trimmed = lake.trim(&base, stream(numbered(1, 2)), Commit::default()).await.unwrap().unwrap();
    assert_eq!(trimmed.rows(), 2);
    let now = lake.require(&table("s.t")).await.unwrap();
    let numbers = async |provider| query(provider, "SELECT n FROM t ORDER BY n").await;
    assert_eq!(numbers(now.provider(&session()).await.unwrap()).await, ["1", "2", "20", "21", "22", "23"]);
    // What is left is no news.
    append(30).await;
    let later = lake.require(&table("s.t")).await.unwrap();
    let news = later.appended_since(Some(seen), &session()).await.unwrap();
    assert_eq!(numbers(news).await, ["30", "31", "32", "33"]);
    // A file of the base is gone: nothing is trimmed.
    assert!(lake.trim(&base, stream(numbered(1, 1)), Commit::default()).await.unwrap().is_none());
    assert_eq!(lake.require(&table("s.t")).await.unwrap().num_rows(), Some(10));
}
