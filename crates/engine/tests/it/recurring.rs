//! Queries of sessions that keep how their queries run: what is planned once and worked out once comes out as it does anywhere else.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray},
    datatypes::Int64Type,
    util::pretty::pretty_format_batches,
};
use datafusion::physical_plan::memory::MemoryStream;
use wardlake_access::{SystemReason, Viewer};
use wardlake_core::TableName;
use wardlake_engine::{Engine, EngineOptions, ReadState, Session};
use wardlake_storage::{Commit, Lake, View};

const VIEWER: Viewer = Viewer::System(SystemReason::Test);

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

async fn write(lake: &Lake, name: &str, rows: &RecordBatch) {
    let stream = MemoryStream::try_new(vec![rows.clone()], rows.schema(), None).unwrap();
    lake.overwrite(&name.parse().unwrap(), vec![Box::pin(stream)], Commit::default()).await.unwrap();
}

async fn answer(session: &Session, sql: &str) -> String {
    let rows = session.collect(sql).await.unwrap_or_else(|error| panic!("{error}: {sql}"));
    pretty_format_batches(&rows).unwrap().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_that_come_again_give_the_same_rows() {
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::open(&folder.path().to_string_lossy()).await.unwrap();
    let engine = Engine::new(Arc::clone(&lake), EngineOptions::default()).unwrap();
    let states = [
        rows(&["a", "b", "b"], &[1, 2, 3], false),
        rows(&["c"], &[4], false),
        rows(&[], &[], false),
        rows(&["d", "d"], &[1, 2], false),
        // The table has other columns now: a plan that was kept does not fit it.
        rows(&["a", "c"], &[7, 2], true),
        rows(&["a", "c", "c"], &[7, 2, 2], true),
    ];
    for state in states {
        write(&lake, "s.t", &state).await;
        let usual = engine.session(VIEWER, ReadState::Working).await.unwrap();
        let kept = engine.recurring_session(VIEWER, ReadState::Working).unwrap();
        for sql in QUERIES {
            let expected = answer(&usual, sql).await;
            assert_eq!(answer(&kept, sql).await, expected, "{sql}");
            assert_eq!(answer(&kept, sql).await, expected, "again: {sql}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn views_are_looked_at_each_time() {
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::open(&folder.path().to_string_lossy()).await.unwrap();
    let engine = Engine::new(Arc::clone(&lake), EngineOptions::default()).unwrap();
    write(&lake, "s.t", &rows(&["a", "b"], &[1, 2], false)).await;
    for (least, expected) in [(1, "2"), (2, "1"), (3, "0")] {
        let sql = format!("select * from s.t where beds >= {least}");
        lake.put_view(&"s.v".parse().unwrap(), &View { sql, columns: None, comment: None }).await.unwrap();
        let session = engine.recurring_session(VIEWER, ReadState::Working).unwrap();
        let counted = answer(&session, "select count(*) as n from s.v").await;
        assert!(counted.contains(&format!("| {expected} |")), "{counted}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_looked_up_by_the_keys_of_a_query() {
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::open(&folder.path().to_string_lossy()).await.unwrap();
    let engine = Engine::new(Arc::clone(&lake), EngineOptions::default()).unwrap();
    write(&lake, "s.t", &rows(&["a", "b", "b", "c"], &[1, 2, 3, 4], false)).await;
    let name: TableName = "s.t".parse().unwrap();
    let found: TableName = "matching.found".parse().unwrap();
    let sql = "select beds, ward from matching.found order by beds";
    let usual = engine.session(VIEWER, ReadState::Working).await.unwrap();
    let recurring = engine.recurring_session(VIEWER, ReadState::Working).unwrap();
    let head = usual.snapshot(&name).await.unwrap().unwrap();
    for (columns, keys, expected) in [
        (&["ward"][..], "select 'b' union all select 'z' union all select 'b' union all select null", &[2, 3][..]),
        (&["ward"][..], "with k as (select 'c' as \"Key.of\") select * from k", &[4][..]),
        (&["ward"][..], "select ward from s.t where beds > 9", &[0; 0][..]),
        (&["ward"][..], "select null", &[0; 0][..]),
        // Keys are of the table's type.
        (&["beds"][..], "select '03'", &[3][..]),
        (&["beds", "ward"][..], "select beds, 'b' from s.t", &[2, 3][..]),
        (&["ward", "beds"][..], "select a.ward, b.beds from s.t as a join s.t as b on a.beds = b.beds + 1", &[2][..]),
    ] {
        let columns: Vec<String> = columns.iter().map(|column| (*column).to_owned()).collect();
        for session in [&recurring, &usual] {
            session.overlay_matching(found.clone(), &head, &columns, keys).await.unwrap();
            let rows = session.collect(sql).await.unwrap();
            let beds = rows.iter().flat_map(|rows| rows.column(0).as_primitive::<Int64Type>().values().to_vec());
            let is_usual = !session.is_recurring();
            assert_eq!(beds.collect::<Vec<_>>(), expected, "{keys}, {is_usual}");
        }
    }
    for (columns, keys, reason) in
        [(&["ward"][..], "select 'b', 1", "has 2 columns"), (&["nurse"][..], "select 'b'", "no column nurse")]
    {
        let columns: Vec<String> = columns.iter().map(|column| (*column).to_owned()).collect();
        for session in [&recurring, &usual] {
            let failed = session.overlay_matching(found.clone(), &head, &columns, keys).await.unwrap_err().to_string();
            assert!(failed.contains(reason), "{failed}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_clock_decides_is_planned_anew() {
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::open(&folder.path().to_string_lossy()).await.unwrap();
    let engine = Engine::new(lake, EngineOptions::default()).unwrap();
    let session = engine.recurring_session(VIEWER, ReadState::Working).unwrap();
    let sql = "select now() as at";
    assert_ne!(answer(&session, sql).await, answer(&session, sql).await);
}
