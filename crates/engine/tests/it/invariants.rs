//! What holds for all values: moving and counting dates agree, patterns read what they write, zones lose nothing.

use std::{future::Future, sync::Arc};

use arrow::{
    array::{AsArray, BooleanArray, Int64Array, RecordBatch, TimestampMicrosecondArray},
    datatypes::{DataType, Field, Schema, TimeUnit},
};
use datafusion::prelude::SessionContext;
use proptest::prelude::*;
use wardlake_engine::{dialect, functions};

/// Years 1900 to 2100 in microseconds.
const INSTANTS: std::ops::Range<i64> = -2_208_988_800_000_000..4_102_444_800_000_000;

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Runtime::new().unwrap().block_on(future)
}

/// Evaluates a boolean expression over the columns `t` (timestamp) and `n` (integer); every row must be true.
fn assert_always(expression: &str, rows: &[(i64, i64)]) {
    let schema = Arc::new(Schema::new(vec![
        Field::new("t", DataType::Timestamp(TimeUnit::Microsecond, None), false),
        Field::new("n", DataType::Int64, false),
    ]));
    let times = TimestampMicrosecondArray::from_iter_values(rows.iter().map(|row| row.0));
    let numbers = Int64Array::from_iter_values(rows.iter().map(|row| row.1));
    let batch = RecordBatch::try_new(schema, vec![Arc::new(times), Arc::new(numbers)]).unwrap();
    block_on(async {
        let ctx = SessionContext::new();
        functions::register_all(&ctx).unwrap();
        ctx.register_batch("x", batch).unwrap();
        let mut statements = dialect::rewrite(&format!("select {expression} as ok from x")).unwrap();
        let plan = ctx.state().statement_to_plan(statements.remove(0)).await.unwrap();
        for batch in ctx.execute_logical_plan(plan).await.unwrap().collect().await.unwrap() {
            let ok: &BooleanArray = batch.column(0).as_boolean();
            for (i, ok) in ok.iter().enumerate() {
                assert_eq!(ok, Some(true), "{expression} at {:?}", rows[i]);
            }
        }
    });
}

fn rows() -> impl Strategy<Value = Vec<(i64, i64)>> {
    proptest::collection::vec((INSTANTS, -5_000_i64..5_000), 1..200)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn adding_n_parts_crosses_n_borders(rows in rows()) {
        for part in ["year", "quarter", "month", "week", "day", "hour", "minute", "second", "millisecond", "microsecond"] {
            assert_always(&format!("datediff({part}, t, dateadd({part}, n, t)) = n"), &rows);
        }
    }

    #[test]
    fn patterns_read_what_they_write(rows in rows()) {
        for pattern in ["YYYY-MM-DD HH24:MI:SS.US", "YYYYMMDDHH24MISSUS", "FMMonth DDth, YYYY HH12:MI:SS.US AM", "IYYY-IW-ID HH24:MI:SS.US", "%Y-%m-%dT%H:%M:%S%.6f"] {
            assert_always(&format!("to_timestamp(to_char(t, '{pattern}'), '{pattern}') = t"), &rows);
        }
    }

    #[test]
    fn a_zone_loses_only_what_is_ambiguous(rows in rows()) {
        for zone in ["America/New_York", "Europe/Berlin", "Asia/Kolkata", "UTC"] {
            let local = format!("utc_to_local(t, '{zone}')");
            assert_always(&format!("coalesce(local_to_utc({local}, '{zone}') = t, is_ambiguous_local({local}, '{zone}'))"), &rows);
        }
    }

    #[test]
    fn ages_add_up(rows in rows()) {
        assert_always("dateadd(year, age_years(t, dateadd(day, abs(n), t)), t) <= dateadd(day, abs(n) + 1, t)", &rows);
    }
}
