use serde_json::{Value, json};
use wardlake_connect::{ConnectError, source::FileFormat};

use crate::support::{load, load_file, table, try_load};

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
fn keys_that_differ_in_case_are_one_column() {
    let ndjson = || json!("ndjson");
    check("{\"id\":1}\n{\"ID\":2}\n{\"Id\":3}\n", ndjson(), "id", &["1", "2", "3"], &[]);
    check("{\"ID\":null,\"id\":1}\n{\"id\":2,\"ID\":null}\n", ndjson(), "ID", &["1", "2"], &[]);
    // Both have values: none is lost.
    check(
        "{\"id\":1,\"ID\":2,\"Id\":3}\n{\"ID\":4,\"id\":5}\n{\"iD_2\":6}\n",
        ndjson(),
        "id|ID_2|Id_3",
        &["1|2|3", "4|5|∅", "∅|6|∅"],
        &[],
    );
    // A name as written comes before a number made up here.
    check("{\"id\":1,\"ID\":2,\"id_2\":3}\n", ndjson(), "id|id_2|ID_3", &["1|3|2"], &[]);
    check("{\"_file\":1,\"_FILE\":2,\"_File_2\":3}\n", ndjson(), "_file_2|_FILE_3|_File_2_2", &["1|2|3"], &[]);
    check("{\"\":1,\" \":2}\n", ndjson(), "column|column_2", &["1|2"], &[]);
    check("{\"größe\":1}\n{\"GRÖẞE\":2}\n", ndjson(), "größe", &["1", "2"], &[]);
    check(
        "{\"id\":1,\"ID\":2,\"ID\":3}\n{\"a\":1,\"\\u0061\":2}\n",
        ndjson(),
        "",
        &[],
        &["1:duplicate_key", "2:duplicate_key"],
    );
}

#[test]
fn keys_that_are_no_names_and_numbers_that_are_none_are_rejected() {
    let long = "n".repeat(1025);
    let text = format!(
        "{{\"a\":1}}\n{{\"a\":2,\"{long}\":1}}\n{{\"a\\nb\":1}}\n{{\"a\":NaN}}\n{{\"a\":-Infinity}}\n{{\"a\":[NaN]}}\n"
    );
    check(
        &text,
        json!("ndjson"),
        "a",
        &["1"],
        &["2:column_name", "3:column_name", "4:invalid_json", "5:invalid_json", "6:invalid_json"],
    );
}

#[test]
fn an_object_brings_a_table_so_many_columns_and_no_more() {
    let object = |prefix: &str, count: usize| {
        let members: Vec<String> = (0..count).map(|i| format!("\"{prefix}{i}\":{i}")).collect();
        format!("{{{}}}\n", members.join(","))
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.ndjson");
    let read = |text: String, known: Option<&[String]>| {
        std::fs::write(&path, text).unwrap();
        let loaded = load_file(&path, &table(&json!("ndjson")), known).unwrap();
        (loaded.rows.len(), loaded.report.columns.len(), loaded.rejections())
    };
    let known = vec!["ID".to_owned()];
    let row = || "{\"id\":1}\n".to_owned();
    let over = || vec!["2:too_many_columns".to_owned()];
    assert_eq!(read(row() + &object("k", 10_000) + &row(), Some(&known)), (2, 1, over()));
    assert_eq!(read(row() + &object("k", 10_000) + &row(), None), (2, 1, over()));
    assert_eq!(read(row() + &object("k", 512), Some(&known)), (2, 513, Vec::new()));
    assert_eq!(read(row() + &object("k", 513), Some(&known)), (1, 1, over()));
    // Nor do many objects bring more together; what they share is counted once.
    let text = object("k", 300) + &object("l", 300) + &object("K", 300) + &object("m", 212);
    assert_eq!(read(text, Some(&known)), (3, 512, over()));
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
