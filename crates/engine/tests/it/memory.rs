//! What queries hold in memory, and who may hold much at once.

use std::sync::Arc;

use arrow::util::pretty::pretty_format_batches;
use futures::FutureExt;
use wardlake_access::{SystemReason, Viewer};
use wardlake_engine::{Engine, EngineOptions, ReadState, Session};
use wardlake_storage::Lake;

const VIEWER: Viewer = Viewer::System(SystemReason::Test);

async fn engine(folder: &tempfile::TempDir) -> Engine {
    let lake = Lake::open(&folder.path().to_string_lossy()).await.unwrap();
    Engine::new(Arc::clone(&lake), EngineOptions::default()).unwrap()
}

/// A session of either kind.
async fn sessions(engine: &Engine) -> [Session; 2] {
    let state = ReadState::Working;
    [engine.session(VIEWER, state.clone()).await.unwrap(), engine.recurring_session(VIEWER, state).unwrap()]
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
    for session in sessions(&engine).await {
        let query = session.query(sql).await.unwrap();
        let plan = query.explain().await.unwrap();
        assert!(plan.contains("join_type=Right"), "{plan}");
        let mut held = plan.lines().skip_while(|line| !line.contains("CrossJoinExec")).skip(1);
        assert!(
            held.find(|line| line.contains("ProjectionExec")).is_some_and(|held| held.contains("count(")),
            "{plan}"
        );
        let rows = pretty_format_batches(&query.collect().await.unwrap()).unwrap().to_string();
        let names: Vec<&str> = rows.lines().skip(3).filter_map(|line| line.split('|').nth(2)).map(str::trim).collect();
        assert_eq!(names, ["", "one", "more", "more", ""], "{rows}");
    }
}

/// What is added to an aggregate is planned to an end, and gives what it should: DataFusion moves projections past its operators.
#[tokio::test]
async fn a_join_by_a_condition_below_an_aggregate_is_planned() {
    let folder = tempfile::tempdir().unwrap();
    let session = engine(&folder).await.session(VIEWER, ReadState::Working).await.unwrap();
    let sql = "with cut as (select max(n) as at from (values (1), (3)) as cuts (n))
               select max(events.n) as n from (values (1), (2), (5)) as events (n) cross join cut where events.n <= coalesce(cut.at, events.n)";
    let rows = pretty_format_batches(&session.collect(sql).await.unwrap()).unwrap().to_string();
    assert!(rows.contains("| 2 |"), "{rows}");
}

/// Batches of one result share its bytes, which joins without keys count with every batch: a million rows of 50 bytes would be three
/// gigabytes. One row next to them is held in their place; where nothing is known of either side, they own their bytes. Nothing may
/// spill, as a join that spills reads its side twice.
#[tokio::test(flavor = "multi_thread")]
async fn joins_by_a_condition_count_bytes_once() {
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::open(&folder.path().to_string_lossy()).await.unwrap();
    let limits = EngineOptions { memory_limit_bytes: 768 << 20, max_spill_bytes: 0, ..EngineOptions::default() };
    let engine = Engine::new(lake, limits).unwrap();
    let sql = |clock: &str| {
        format!(
            "with facts as (select concat('one of many encounters, ', value) as id, max(value) as n from range(0, 1000000) group by 1)
             select count(facts.id) as n from facts cross join ({clock}) as clock (k) where facts.n >= clock.k"
        )
    };
    let cases = [("values (1)", 999_999), ("select value % 2 from range(0, 4) group by 1", 1_999_999)];
    for (clock, expected) in cases {
        for session in sessions(&engine).await {
            let query = session.query(&sql(clock)).await.unwrap();
            let plan = query.explain().await.unwrap();
            assert!(plan.contains("NestedLoopJoinExec"), "{plan}");
            let rows = query.collect().await.unwrap_or_else(|error| panic!("{error}\n{plan}"));
            let rows = pretty_format_batches(&rows).unwrap().to_string();
            assert!(rows.contains(&format!("| {expected} |")), "{rows}");
        }
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
