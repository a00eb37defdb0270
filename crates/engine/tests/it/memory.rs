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

/// A condition over one row next to many: the one row is held, not the many, whose texts share bytes that are counted with every batch.
#[tokio::test(flavor = "multi_thread")]
async fn a_join_by_a_condition_holds_the_side_known_to_be_small() {
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::open(&folder.path().to_string_lossy()).await.unwrap();
    let engine =
        Engine::new(lake, EngineOptions { memory_limit_bytes: 256 << 20, ..EngineOptions::default() }).unwrap();
    let sql = "with facts as (select concat('one of many encounters, ', value) as id, max(value) as n from range(0, 500000) group by 1)
               select count(facts.id) as n from facts cross join (values (1)) as clock (k) where facts.n >= clock.k";
    for session in
        [engine.session(ReadState::Working).await.unwrap(), engine.recurring_session(ReadState::Working).unwrap()]
    {
        let query = session.query(sql).await.unwrap();
        let plan = query.explain().await.unwrap();
        assert!(plan.contains("NestedLoopJoinExec"), "{plan}");
        let rows = pretty_format_batches(&query.collect().await.unwrap()).unwrap().to_string();
        assert!(rows.contains("| 499999 |"), "{rows}");
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
