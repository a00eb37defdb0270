use serde_json::{Value, json};
use wardlake_connect::{ConnectError, source::FileFormat};

use crate::support::{load, try_load};

fn check(text: &str, format: Value, columns: &str, rows: &[&str], rejections: &[&str]) {
    let loaded = load(text, &format);
    assert_eq!(loaded.report.columns.join("|"), columns, "columns of {text:?}");
    assert_eq!(loaded.lines(), rows, "rows of {text:?}");
    assert_eq!(loaded.rejections(), rejections, "rejections of {text:?}");
}

#[test]
fn values_stay_as_they_are_written() {
    let text = r#"{"s": "a\n\u00e9\/", "n": 1.50, "big": 123456789012345678901234567890, "t": true, "z": null, "o": {"x" : [1, "}"]}, "e": ""}"#;
    check(
        text,
        json!("ndjson"),
        "s|n|big|t|z|o|e",
        &["a\né/|1.50|123456789012345678901234567890|true|∅|{\"x\" : [1, \"}\"]}|"],
        &[],
    );
    check("{\"a\":\"NULL\",\"b\":\"\"}\n", json!({"type": "ndjson", "null": ["NULL"]}), "a|b", &["∅|"], &[]);
}

#[test]
fn columns_are_the_union_of_the_keys() {
    let text = "{\"a\":1,\"b\":2}\r\n\n{\"b\":3,\"a\":4}\n{\"c\":5}\n{}";
    check(text, json!("ndjson"), "a|b|c", &["1|2|∅", "4|3|∅", "∅|∅|5", "∅|∅|∅"], &[]);
    assert_eq!(load(text, &json!("ndjson")).positions, [1, 3, 4, 5]);
    check("{\"\":1,\"_file\":2}", json!("ndjson"), "column|_file_2", &["1|2"], &[]);
}

#[test]
fn broken_lines_are_rejected_and_leave_no_column() {
    let text = concat!(
        "{\"a\":1}\n[1]\n3\n{\"x\":1\n{\"a\":1,\"a\":2}\n{\"a\":01}\n{\"a\":\"\\u0000\"}\n{\"y\":tru}\n{\"a\":1} x\n",
        "{\"a\":{\"b\":}}\n{\"a\":1,}\n{a:1}\n{\"a\":2}\n"
    );
    check(
        text,
        json!("ndjson"),
        "a",
        &["1", "2"],
        &[
            "2:not_an_object",
            "3:not_an_object",
            "4:invalid_json",
            "5:duplicate_key",
            "6:invalid_json",
            "7:nul_byte",
            "8:invalid_json",
            "9:invalid_json",
            "10:invalid_json",
            "11:invalid_json",
            "12:invalid_json",
        ],
    );
}

#[test]
fn documents() {
    let json = || json!({"type": "json"});
    check("[{\"a\":1},\n {\"a\":{\"b\":\"]\"}}]\n", json(), "a", &["1", "{\"b\":\"]\"}"], &[]);
    check("[]", json(), "", &[], &[]);
    check("{\"a\":\n1}", json(), "a", &["1"], &[]);
    check("{\"a\":1} {\"a\":2}\n{\"a\":3}", json(), "a", &["1", "2", "3"], &[]);
    check(
        "[{\"a\":1}, 7, {\"a\":}, \"x\", {\"a\":2}]",
        json(),
        "a",
        &["1", "2"],
        &["2:not_an_object", "3:invalid_json", "4:not_an_object"],
    );
    check("[{\"a\":1}] [2]", json(), "a", &["1"], &["2:invalid_json"]);
    let records = |pointer: &str| json!({"type": "json", "records": pointer});
    check(
        "{\"n\":[{\"a\":0}],\"d\":{\"items\":[{\"a\":1},{\"a\":2}]},\"z\":1}",
        records("/d/items"),
        "a",
        &["1", "2"],
        &[],
    );
    check("{\"d\":{\"a\":1}}", records("/d"), "a", &["1"], &[]);
    assert_eq!(load("[{\"a\":1},\n\n {\"a\":2}]", &json()).positions, [1, 2]);
}

#[test]
fn documents_that_end_early_or_have_no_records() {
    for text in ["", "[", "[{\"a\":1}", "[{\"a\":1},", "{\"a\":", "[{\"a\":\"x"] {
        let result = try_load(text.as_bytes(), &json!({"type": "json"}));
        assert!(matches!(result, Err(ConnectError::Unfinished { .. })), "{text:?} {result:?}");
    }
    for (text, is_missing) in [("{\"a\":1}", true), ("{\"d\":3}", true), ("{\"d\":[{}]", false)] {
        let result = try_load(text.as_bytes(), &json!({"type": "json", "records": "/d"}));
        assert_eq!(matches!(result, Err(ConnectError::RecordsMissing { .. })), is_missing, "{text:?}");
        assert!(result.is_err());
    }
}

#[test]
fn the_format_is_found_by_the_content() {
    for (text, format) in [
        ("[{\"a\":1}]", FileFormat::Json),
        ("{\"a\":1}\n{\"a\":2}\n", FileFormat::Ndjson),
        ("{\"a\":\n1}", FileFormat::Json),
        ("{\"a\":1}", FileFormat::Json),
        ("a,b\n1,2\n", FileFormat::Csv),
    ] {
        assert_eq!(load(text, &json!({})).report.file_format, format, "{text:?}");
    }
}
