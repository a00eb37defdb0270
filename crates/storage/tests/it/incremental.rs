//! New rows since a version, and changes since a version.

use wardlake_storage::{Commit, MergeSpec, OptimizeSpec, SchemaChange, StorageError};

use crate::support::{TestLake, batch, ints, kv, lake, optimize, query, session, stream, table, texts};

async fn append(lake: &TestLake, rows: &[(Option<i64>, &str)]) -> u64 {
    lake.append(&table("s.t"), stream(kv(rows)), Commit::default()).await.unwrap().version()
}

async fn since(lake: &TestLake, version: Option<u64>) -> Vec<String> {
    let now = lake.require(&table("s.t")).await.unwrap();
    query(now.appended_since(version, &session()).await.unwrap(), "SELECT k, v FROM t ORDER BY k, v").await
}

async fn changes(lake: &TestLake, version: Option<u64>, keys: &[&str]) -> Vec<String> {
    let now = lake.require(&table("s.t")).await.unwrap();
    let keys: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
    let provider = now.changes_since(version, &keys, &session()).await.unwrap();
    query(provider, "SELECT k, v, _change_type FROM t ORDER BY k, _change_type, v").await
}

#[tokio::test(flavor = "multi_thread")]
async fn new_rows_are_those_of_later_commits() {
    let lake = lake().await;
    let first = append(&lake, &[(Some(1), "a")]).await;
    let second = append(&lake, &[(Some(2), "b")]).await;
    append(&lake, &[(Some(3), "c")]).await;
    assert_eq!(since(&lake, None).await, ["1,a", "2,b", "3,c"]);
    assert_eq!(since(&lake, Some(first)).await, ["2,b", "3,c"]);
    assert_eq!(since(&lake, Some(second)).await, ["3,c"]);
    assert_eq!(since(&lake, Some(2)).await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn optimize_hides_no_new_row_and_invents_none() {
    let lake = lake().await;
    append(&lake, &[(Some(1), "a")]).await;
    append(&lake, &[(Some(2), "b")]).await;
    let commit = Commit { schema_change: SchemaChange::AppendNewColumns, ..Commit::default() };
    let wider = batch(&[("k", ints([3])), ("v", texts(["c"])), ("x", texts(["x"]))]);
    lake.append(&table("s.t"), stream(wider), commit).await.unwrap();
    let merged = optimize(&lake, &table("s.t"), OptimizeSpec::all(1 << 20)).await;
    assert_eq!(merged.map(|outcome| outcome.version()), Some(3));
    append(&lake, &[(Some(4), "d")]).await;
    assert_eq!(since(&lake, Some(0)).await, ["2,b", "3,c", "4,d"]);
    assert_eq!(since(&lake, Some(3)).await, ["4,d"]);
    assert_eq!(changes(&lake, Some(2), &[]).await, ["4,d,insert"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_are_net_and_count_equal_rows() {
    let lake = lake().await;
    append(&lake, &[(Some(1), "a"), (Some(2), "b"), (Some(3), "c"), (None, "n"), (None, "n")]).await;
    let merge = |rows: &[(Option<i64>, &str)]| {
        let rows = stream(kv(rows));
        let lake = &lake;
        async move {
            lake.merge(&session(), &table("s.t"), rows, MergeSpec::on(["k"]), Commit::default()).await.unwrap();
        }
    };
    merge(&[(Some(1), "A"), (Some(2), "tmp"), (Some(4), "d")]).await;
    merge(&[(Some(2), "b")]).await;
    lake.replace_where(&session(), &table("s.t"), stream(kv(&[])), "k = 3", Commit::default()).await.unwrap();
    append(&lake, &[(Some(9), "z"), (Some(9), "z")]).await;
    let expected =
        ["1,A,update_postimage", "1,a,update_preimage", "3,c,delete", "4,d,insert", "9,z,insert", "9,z,insert"];
    assert_eq!(changes(&lake, Some(0), &["k"]).await, expected);
    assert_eq!(changes(&lake, Some(0), &[]).await[..2], ["1,a,delete", "1,A,insert"]);
    assert_eq!(changes(&lake, None, &["k"]).await.len(), 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cleaned_log_is_told_from_no_news() {
    let lake = lake().await;
    for k in 0..3 {
        append(&lake, &[(Some(k), "a")]).await;
    }
    lake.checkpoint(&table("s.t")).await.unwrap();
    std::fs::remove_file(lake.folder.path().join("s/t/_delta_log/00000000000000000001.json")).unwrap();
    let now = lake.require(&table("s.t")).await.unwrap();
    let gone = now.appended_since(Some(0), &session()).await.unwrap_err();
    assert!(matches!(gone, StorageError::HistoryGone { version: 1, .. }), "{gone}");
}
