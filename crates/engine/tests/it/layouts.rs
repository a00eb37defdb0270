//! A function gives the same result for every Arrow layout of the same values, and for constants and columns alike.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, Date32Array, RecordBatch, StringArray, TimestampMicrosecondArray},
    compute::cast,
    datatypes::{DataType, TimeUnit},
    util::pretty::pretty_format_batches,
};
use datafusion::prelude::SessionContext;
use wardlake_engine::{dialect, functions};

async fn run(column: &ArrayRef, expression: &str) -> String {
    let ctx = SessionContext::new();
    functions::register_all(&ctx).unwrap();
    let batch = RecordBatch::try_from_iter_with_nullable([("x", Arc::clone(column), true)]).unwrap();
    ctx.register_batch("t", batch).unwrap();
    let mut statements = dialect::rewrite(&format!("select cast({expression} as varchar) as y from t")).unwrap();
    let plan = ctx.state().statement_to_plan(statements.remove(0)).await.unwrap();
    let batches = ctx.execute_logical_plan(plan).await.unwrap().collect().await.unwrap();
    pretty_format_batches(&batches).unwrap().to_string()
}

async fn assert_same(values: ArrayRef, layouts: &[DataType], expressions: &[&str]) {
    for expression in expressions {
        let expected = run(&values, expression).await;
        for layout in layouts {
            let column = cast(&values, layout).unwrap();
            assert_eq!(run(&column, expression).await, expected, "{expression} of {layout}");
        }
    }
}

#[tokio::test]
async fn text_of_any_layout() {
    let values: ArrayRef =
        Arc::new(StringArray::from(vec![Some("2024-02-29"), None, Some("2024-03-01 10:00"), Some("")]));
    let layouts = [
        DataType::LargeUtf8,
        DataType::Utf8View,
        DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)),
    ];
    let expressions = [
        "try_to_date(x)",
        "try_cast(x as date)",
        "trim_to_null(x)",
        "surrogate_key(x, 1)",
        "hash(x)",
        "regexp_substr(x, '[0-9]+', 1, 2)",
        "charindex('-', x)",
        "local_to_utc(x, 'America/New_York')",
        "format('%s!', x)",
        "soundex(x)",
        "normalise_name(x)",
        "normalise_phone(x)",
        "jaro_winkler(x, '2024')",
        "damerau_levenshtein('2024', x)",
    ];
    assert_same(values, &layouts, &expressions).await;
}

#[tokio::test]
async fn timestamps_of_any_unit() {
    let values: ArrayRef =
        Arc::new(TimestampMicrosecondArray::from(vec![Some(1_709_214_330_000_000), None, Some(-1_000_000)]));
    let layouts =
        [TimeUnit::Second, TimeUnit::Millisecond, TimeUnit::Nanosecond].map(|unit| DataType::Timestamp(unit, None));
    let expressions = [
        "dateadd(month, 1, x)",
        "datediff(hour, x, timestamp '2024-01-01 00:00:00')",
        "to_char(x, 'YYYY-MM-DD HH24:MI:SS')",
        "last_day(x)",
        "age_years(x, date '2030-01-01')",
        "dayofweek(x)",
        "utc_to_local(x, 'Europe/Berlin')",
    ];
    assert_same(values, &layouts, &expressions).await;
}

#[tokio::test]
async fn a_column_with_a_zone_is_read_on_its_clock() {
    let values: ArrayRef =
        Arc::new(TimestampMicrosecondArray::from(vec![1_710_052_200_000_000]).with_timezone("America/New_York"));
    // 2024-03-10 01:30 in New York, half an hour before the clock jumps from 2 to 3.
    let shown =
        run(&values, "to_char(x, 'YYYY-MM-DD HH24:MI OF') || ' ' || to_char(dateadd(day, -1, x), 'DD HH24:MI OF')")
            .await;
    assert!(shown.contains("2024-03-10 01:30 -05 09 01:30 -05"), "{shown}");
    let shown =
        run(&values, "to_char(dateadd(hour, 1, x), 'HH24:MI OF') || ' ' || to_char(dateadd(day, 1, x), 'HH24:MI OF')")
            .await;
    assert!(shown.contains("03:30 -04 01:30 -04"), "{shown}");
}

#[tokio::test]
async fn dates_of_either_width() {
    let values: ArrayRef = Arc::new(Date32Array::from(vec![Some(19_782), None, Some(i32::MAX)]));
    let expressions = ["dateadd(day, 1, x)", "year(x)", "to_char(x, 'YYYY')", "datediff(day, x, date '2024-03-01')"];
    for expression in expressions {
        // i32::MAX days lie beyond the microseconds of 64 bits: NULL, not an overflow.
        assert!(!run(&values, expression).await.is_empty());
    }
    let values: ArrayRef = Arc::new(Date32Array::from(vec![Some(19_782), None]));
    assert_same(values, &[DataType::Date64], &expressions).await;
}
