//! What a session keeps from its callers: values in errors, plans that no stack holds, views without an end.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, Decimal128Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray},
    util::pretty::pretty_format_batches,
};
use datafusion::physical_plan::memory::MemoryStream;
use futures::TryStreamExt;
use wardlake_access::{SystemReason, Viewer};
use wardlake_core::{ErrorKind, HasErrorKind};
use wardlake_engine::{Engine, EngineError, EngineOptions, ReadState, Session};
use wardlake_storage::{Commit, Lake, View};

/// A lake with one table of patients, and a session over it.
struct World {
    lake: Arc<Lake>,
    session: Session,
    _folder: tempfile::TempDir,
}

async fn world() -> World {
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::open(&folder.path().to_string_lossy()).await.unwrap();
    let amounts =
        Decimal128Array::from(vec![407, 9_999_999, 1_234_567_890_123_456_789]).with_precision_and_scale(19, 2).unwrap();
    // 2026-03-01 02:30, 2026-07-01 12:00 and 2026-11-01 06:30, all UTC.
    let times = vec![1_772_332_200_000_000, 1_782_907_200_000_000, 1_793_514_600_000_000];
    let columns: [(&str, ArrayRef); 5] = [
        ("id", Arc::new(Int64Array::from(vec![1, 2, i64::MAX]))),
        ("name", Arc::new(StringArray::from(vec!["Smith 1990", "07", "Jones 99999"]))),
        ("amount", Arc::new(amounts)),
        ("seen_at", Arc::new(TimestampMicrosecondArray::from(times).with_timezone("UTC"))),
        ("zone", Arc::new(StringArray::from(vec!["America/New_York", "Europe/Berlin", "America/New_York"]))),
    ];
    let rows = RecordBatch::try_from_iter(columns).unwrap();
    let stream = MemoryStream::try_new(vec![rows.clone()], rows.schema(), None).unwrap();
    lake.overwrite(&"s.patients".parse().unwrap(), vec![Box::pin(stream)], Commit::default()).await.unwrap();
    let engine = Engine::new(Arc::clone(&lake), EngineOptions::default()).unwrap();
    let session = engine.session(Viewer::System(SystemReason::Test), ReadState::Working).await.unwrap();
    World { lake, session, _folder: folder }
}

impl World {
    async fn view(&self, name: &str, sql: &str) {
        let view = View { sql: sql.to_owned(), columns: None, comment: None };
        self.lake.put_view(&name.parse().unwrap(), &view).await.unwrap();
    }

    async fn answer(&self, sql: &str) -> String {
        let rows = self.session.collect(sql).await.unwrap_or_else(|error| panic!("{error}: {sql}"));
        pretty_format_batches(&rows).unwrap().to_string()
    }

    async fn refusal(&self, sql: &str) -> EngineError {
        match self.session.collect(sql).await {
            Ok(rows) => panic!("{sql} gave {}", pretty_format_batches(&rows).unwrap()),
            Err(error) => error,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn b01_stored_amounts_are_found_by_what_is_written() {
    let world = world().await;
    for predicate in [
        "amount = 4.07",
        "amount in (4.07, 5.08)",
        "amount between 4.07 and 4.070",
        "amount <= 4.07",
        "amount = 99999.99",
        "amount = 12345678901234567.89",
        "coalesce(amount, 0.0) = 4.07",
        "amount * 2.5 = 10.175",
        "case amount when 4.07 then true end",
    ] {
        let found = world.answer(&format!("select count(*) as n from s.patients where {predicate}")).await;
        assert!(found.contains("| 1 |"), "{predicate}\n{found}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn b02_the_wall_clock_of_stored_instants() {
    let world = world().await;
    let found = world
        .answer(
            "select extract(hour from seen_at at time zone zone) as hour, cast(seen_at at time zone zone as date) as day,
                    (seen_at at time zone zone) at time zone zone = seen_at as back
             from s.patients order by id",
        )
        .await;
    for row in ["| 21   | 2026-02-28 | true", "| 14   | 2026-07-01 | true", "| 1    | 2026-11-01 | true"] {
        assert!(found.contains(row), "{row}\n{found}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn b12_what_asks_the_clock_or_chance_is_volatile() {
    let world = world().await;
    for sql in [
        "select now()",
        "select sysdatetime() as x",
        "select today()",
        "select getutcdate()",
        "select current_date",
        "select CURRENT_TIMESTAMP",
        "select localtimestamp",
        "select age(seen_at) from s.patients",
        "select 1 where exists (select 1 from s.patients order by random())",
        "with x as (select uuid() as u) select * from x",
        "select count(*) filter (where seen_at < now()) from s.patients",
    ] {
        assert!(world.session.is_volatile(sql).unwrap(), "{sql}");
    }
    for sql in [
        "select 'now()' as text",
        "select now from (values (1)) t(now)",
        "select dateadd(day, 1, seen_at) from s.patients",
        "select row_number() over (order by id) from s.patients -- current_date",
    ] {
        assert!(!world.session.is_volatile(sql).unwrap(), "{sql}");
    }
    assert!(world.session.is_volatile("{{ ref('x') }}").is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn b19_what_leaves_its_range_says_so_without_the_numbers() {
    let world = world().await;
    for sql in [
        "select id + 1 from s.patients",
        "select id * 2 from s.patients",
        "select -id - 2 from s.patients",
        "select sum(id) from s.patients",
        "select sum(id) over (order by id) from s.patients",
        "select name, sum(id + 0) from (select 'x' as name, id from s.patients) as named group by name",
        "select 9223372036854775807 + 1",
        "select cast(2147483647 as int) + cast(1 as int)",
    ] {
        let error = world.refusal(sql).await;
        let text = error.to_string();
        assert!(text.contains("out of range for"), "{sql}: {text}");
        assert!(!text.contains("9223372036854775807") && !text.contains("2147483647"), "{sql}: {text}");
        assert_eq!(error.kind(), ErrorKind::Invalid);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn c06_errors_name_functions_columns_and_types_but_no_value() {
    let world = world().await;
    for (sql, wanted) in [
        ("select cast(name as int) from s.patients", "`name` is a text that cannot be read as integer"),
        ("select cast(name as date) from s.patients", "to_date: a text does not fit (argument 1 (`name`))"),
        ("select cast(name as timestamp) from s.patients", "to_timestamp: a text does not fit"),
        ("select cast(name as decimal(18, 2)) from s.patients", "decimal(18, 2)"),
        ("select cast(name as boolean) from s.patients", "boolean"),
        ("select * from s.patients where seen_at > name", "to_timestamp_tz: a text does not fit"),
        ("select * from s.patients where name = 5", "could not be read"),
        ("select cast(id as smallint) from s.patients", "could not be read as smallint"),
        ("select seen_at at time zone name from s.patients", "(`name`) holds a text that is no time zone"),
        ("select local_to_utc('2026-01-01', name) from s.patients", "no time zone"),
        ("select regexp_substr(zone, name || '(') from s.patients", "no regular expression"),
        ("select make_date(cast(id as int), 99999, 1990) from s.patients where id = 1", "not shown"),
        ("select 1990 / (id - 1) from s.patients where id = 1", "division by zero"),
        ("select parse_json(name) from s.patients", "not JSON"),
    ] {
        let text = world.refusal(sql).await.to_string();
        assert!(text.contains(wanted), "{sql}: {text}");
        for value in ["Smith", "Jones", "1990", "99999", "9223372036854775807"] {
            assert!(!text.contains(value), "{sql}: {text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn c06_a_stream_for_a_writer_says_no_value_either() {
    let world = world().await;
    let query = world.session.query("select id, cast(name as int) as n from s.patients").await.unwrap();
    let mut errors = Vec::new();
    for stream in query.streams().await.unwrap() {
        errors.extend(stream.try_collect::<Vec<_>>().await.err());
    }
    let text = format!("{errors:?}");
    assert!(text.contains("integer") && !text.contains("Smith"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn c08_a_view_that_reads_itself_is_an_error() {
    let world = world().await;
    world.view("s.own", "select * from s.own").await;
    world.view("s.a", "select * from s.b").await;
    world.view("s.b", "select * from s.c where exists (select 1 from s.patients)").await;
    world.view("s.c", "with x as (select * from s.a) select * from x").await;
    for (name, circle) in [("s.own", "s.own → s.own"), ("s.b", "s.b → s.c → s.a → s.b")] {
        let error = world.refusal(&format!("select * from {name}")).await;
        assert!(matches!(error, EngineError::ViewCycle { .. }), "{error}");
        assert!(error.to_string().contains(circle), "{error}");
    }
    // Views that are read twice are no circle.
    world.view("s.once", "select id from s.patients").await;
    world.view("s.twice", "select id from s.once union all select id from s.once").await;
    assert!(world.answer("select count(*) as n from s.twice").await.contains("| 6 |"));
}

#[tokio::test(flavor = "multi_thread")]
async fn c08_views_without_an_end_are_refused() {
    let world = world().await;
    world.view("s.v0", "select id from s.patients").await;
    for nth in 1..=70 {
        world.view(&format!("s.v{nth}"), &format!("select id from s.v{}", nth - 1)).await;
    }
    assert!(world.answer("select count(*) as n from s.v20").await.contains("| 3 |"));
    let error = world.refusal("select count(*) from s.v70").await;
    assert!(error.to_string().contains("read one another"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn c08_long_lists_and_chains_are_run_or_refused() {
    let world = world().await;
    let list = (1..=50_000).map(|id: i64| id.to_string()).collect::<Vec<_>>().join(", ");
    let found = world.answer(&format!("select count(*) as n from s.patients where id in ({list})")).await;
    assert!(found.contains("| 2 |"), "{found}");
    let found = world.answer(&format!("select count(*) as n from s.patients where id not in ({list})")).await;
    assert!(found.contains("| 1 |"), "{found}");
    let either = (1..=2_000).map(|id: i64| format!("id = {id}")).collect::<Vec<_>>().join(" or ");
    let found = world.answer(&format!("select count(*) as n from s.patients where {either}")).await;
    assert!(found.contains("| 2 |"), "{found}");
    let sum = vec!["1"; 8_000].join(" + ");
    let error = world.refusal(&format!("select {sum}")).await;
    assert!(error.to_string().contains("levels deep"), "{error}");
    let sum = vec!["1"; 150].join(" + ");
    assert!(world.answer(&format!("select {sum} as n")).await.contains("| 150 |"));
}
