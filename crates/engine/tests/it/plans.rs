//! Queries of sessions that keep plans: what is planned once and worked out once comes out as it does anywhere else.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, Int64Array, RecordBatch, StringArray},
    util::pretty::pretty_format_batches,
};
use datafusion::datasource::MemTable;
use wardlake_core::TableName;
use wardlake_engine::{Engine, EngineOptions, PlanCache, ReadState, Session};
use wardlake_storage::Lake;

/// Common tables that are read once and several times, nested, recursive, in subqueries.
const QUERIES: [&str; 7] = [
    "with a as (select ward, beds from s.t), b as (select * from a union all select * from a)
     select ward, sum(beds) as beds from b group by ward order by ward",
    "with a as (with c as (select ward, beds + 1 as beds from s.t) select c.* from c union all select * from c),
     d as (select a.ward, count(*) as n from a group by a.ward)
     select d.ward, d.n, other.n as m from d inner join d as other on d.ward = other.ward
     where d.ward in (select ward from a) order by 1, 2, 3",
    "with a as (select ward, beds from s.t)
     select ward from a where exists (select 1 from a as other where other.ward = a.ward and other.beds > a.beds) order by 1",
    "with recursive r as (select 1 as n union all select n + 1 from r where n < 5) select sum(n) as n from r",
    "with a as (with recursive r as (select min(beds) as n from s.t union all select n + 1 from r where n < 20) select n from r)
     select a.n from a inner join a as b on a.n = b.n order by 1",
    "with a(x) as (select beds from s.t) select a.x, b.x as y from a inner join a as b on a.x = b.x order by 1",
    "with A as (select ward as \"Ward\", beds from s.t where beds > 1) select a.\"Ward\", x.beds from a, a as x order by 1, 2",
];

fn rows(wards: &[&str], beds: &[i64], with_more: bool) -> RecordBatch {
    let mut columns: Vec<(&str, ArrayRef)> = vec![
        ("ward", Arc::new(StringArray::from(wards.to_vec()))),
        ("beds", Arc::new(Int64Array::from(beds.to_vec()))),
    ];
    if with_more {
        columns.insert(0, ("more", Arc::new(Int64Array::from(beds.to_vec()))));
    }
    RecordBatch::try_from_iter(columns).unwrap()
}

fn over(session: &Session, rows: &RecordBatch) {
    let table = MemTable::try_new(rows.schema(), vec![vec![rows.clone()]]).unwrap();
    session.overlay(TableName::new("s", "t").unwrap(), Arc::new(table));
}

async fn answer(session: &Session, sql: &str) -> String {
    let rows = session.collect(sql).await.unwrap_or_else(|error| panic!("{error}: {sql}"));
    pretty_format_batches(&rows).unwrap().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn kept_plans_give_the_same_rows() {
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::open(&folder.path().to_string_lossy()).await.unwrap();
    let engine = Engine::new(lake, EngineOptions::default()).unwrap();
    let plans = Arc::new(PlanCache::default());
    let states = [
        rows(&["a", "b", "b"], &[1, 2, 3], false),
        rows(&["c"], &[4], false),
        rows(&[], &[], false),
        // The table has other columns now: a kept plan does not fit it.
        rows(&["a", "c"], &[7, 2], true),
        rows(&["a", "c", "c"], &[7, 2, 2], true),
    ];
    for state in states {
        let usual = engine.session(ReadState::Working).await.unwrap();
        let kept = engine.session_with(ReadState::Working, Some(Arc::clone(&plans))).unwrap();
        over(&usual, &state);
        over(&kept, &state);
        for sql in QUERIES {
            assert_eq!(answer(&kept, sql).await, answer(&usual, sql).await, "{sql}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_clock_decides_is_planned_anew() {
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::open(&folder.path().to_string_lossy()).await.unwrap();
    let engine = Engine::new(lake, EngineOptions::default()).unwrap();
    let session = engine.session_with(ReadState::Working, Some(Arc::default())).unwrap();
    let sql = "select now() as at";
    assert_ne!(answer(&session, sql).await, answer(&session, sql).await);
}
