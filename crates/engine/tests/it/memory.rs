//! What queries hold in memory, and who may hold much at once.

use std::sync::Arc;

use arrow::util::pretty::pretty_format_batches;
use futures::FutureExt;
use wardlake_engine::{Engine, EngineOptions, ReadState};
use wardlake_storage::Lake;

async fn engine(folder: &tempfile::TempDir) -> Engine {
    let lake = Lake::open(&folder.path().to_string_lossy()).await.unwrap();
    Engine::new(Arc::clone(&lake), EngineOptions::default()).unwrap()
}

/// The side of unknown size that only adds columns is held, whatever the session; unmatched rows stay.
#[tokio::test(flavor = "multi_thread")]
async fn a_left_join_holds_what_is_added() {
    let folder = tempfile::tempdir().unwrap();
    let engine = engine(&folder).await;
    let sql =
        "with recursive added as (select 1 as k, 'one' as name union all select k + 1, 'more' from added where k < 3)
               select facts.n, added.name, all_added.n from (select value as n from range(0, 5)) as facts
               left join added on facts.n = added.k cross join (select count(*) as n from added) as all_added order by 1";
    for session in
        [engine.session(ReadState::Working).await.unwrap(), engine.recurring_session(ReadState::Working).unwrap()]
    {
        let query = session.query(sql).await.unwrap();
        let plan = query.explain().await.unwrap();
        assert!(plan.contains("join_type=Right"), "{plan}");
        let held = plan.lines().skip_while(|line| !line.contains("CrossJoinExec")).nth(1);
        assert!(held.is_some_and(|held| held.contains("count(")), "{plan}");
        let rows = pretty_format_batches(&query.collect().await.unwrap()).unwrap().to_string();
        let names: Vec<&str> = rows.lines().skip(3).filter_map(|line| line.split('|').nth(2)).map(str::trim).collect();
        assert_eq!(names, ["", "one", "more", "more", ""], "{rows}");
    }
}

#[tokio::test]
async fn work_that_can_wait_takes_turns_and_other_work_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let engine = engine(&folder).await;
    let (one, other) = (engine.for_waiting_work(), engine.for_waiting_work());
    let turn = one.turn().await;
    assert!(turn.is_some());
    assert!(other.turn().now_or_never().is_none(), "two turns at once");
    assert!(engine.turn().now_or_never().is_some_and(|turn| turn.is_none()));
    drop(turn);
    assert!(other.turn().now_or_never().is_some());
}
