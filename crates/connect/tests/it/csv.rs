use serde_json::{Value, json};
use wardlake_connect::{ConnectError, Event, FileTable, read_bytes};

use crate::support::{load, load_file, table, try_load};

/// Loads `text` and compares columns, rows and rejections.
fn check(text: &str, format: Value, columns: &str, rows: &[&str], rejections: &[&str]) {
    let loaded = load(text, &format);
    assert_eq!(loaded.report.columns.join("|"), columns, "columns of {text:?}");
    assert_eq!(loaded.lines(), rows, "rows of {text:?}");
    assert_eq!(loaded.rejections(), rejections, "rejections of {text:?}");
}

#[test]
fn line_ends_quotes_and_delimiters() {
    let csv = || json!({"type": "csv"});
    check("a,b\n1,2\n3,4\n", csv(), "a|b", &["1|2", "3|4"], &[]);
    check("a,b\r\n1,2\r\n3,4", csv(), "a|b", &["1|2", "3|4"], &[]);
    check("a,b\r1,2\r3,4\r", csv(), "a|b", &["1|2", "3|4"], &[]);
    check("\u{feff}a,b\n\n1,2\n  \n\n", csv(), "a|b", &["1|2"], &[]);
    check("a,b\n\"1,\"\"x\"\"\",\"2\n3\"\n4,5\n", csv(), "a|b", &["1,\"x\"|2\n3", "4|5"], &[]);
    check("a,b\n5\" pipe,x\"y\n", csv(), "a|b", &["5\" pipe|x\"y"], &[]);
    check("a,b\n\"\",\n", csv(), "a|b", &["|∅"], &[]);
    check("a\n\"\"\n\n1\n", csv(), "a", &["", "1"], &[]);
    check("a\tb\n1\t2\n", json!({"type": "tsv"}), "a|b", &["1|2"], &[]);
    check("a||b\n1||2|3\n\"x||y\"||z\n", json!({"type": "csv", "delimiter": "||"}), "a|b", &["1|2|3", "x||y|z"], &[]);
    check("a;b\n'1;2';3\n", json!({"type": "csv", "quote": "'"}), "a|b", &["1;2|3"], &[]);
    check("a,b\n\"1,2\n", json!({"type": "csv", "quote": "none"}), "a|b", &["\"1|2"], &[]);
    check(
        "a,b\n\"x\\\"y\",z\\,w\n\"\\\\\",\"1\n2\"\n",
        json!({"type": "csv", "delimiter": ",", "escape": "\\"}),
        "a|b",
        &["x\"y|z,w", "\\|1\n2"],
        &[],
    );
    check("# it's, \"x\na,b\n#,\"\n1,2\n", json!({"type": "csv", "comment": "#"}), "a|b", &["1|2"], &[]);
    check("", csv(), "", &[], &[]);
    check("a,b\n", csv(), "a|b", &[], &[]);
}

#[test]
fn headers() {
    check(" a ,a,,A\n1,2,3,4\n", json!({"type": "csv"}), "a|a_2|column_3|A_3", &["1|2|3|4"], &[]);
    check("x,y\n1,2\n", json!({"type": "csv", "header": false}), "column_1|column_2", &["x|y", "1|2"], &[]);
    check("1,2\n3,4\n", json!({"type": "csv", "columns": ["a", "b"]}), "a|b", &["1|2", "3|4"], &[]);
    check("x,y\n3,4\n", json!({"type": "csv", "columns": ["a", "b"], "header": true}), "a|b", &["3|4"], &[]);
    check("x,y\n3,4\n", json!({"type": "csv", "header": "auto"}), "x|y", &["3|4"], &[]);
    check("1,y\n3,4\n", json!({"type": "csv", "header": "auto"}), "column_1|column_2", &["1|y", "3|4"], &[]);
    check("Export of\n\"today\na,b\n1,2\n", json!({"type": "csv", "skip_rows": 2}), "a|b", &["1|2"], &[]);
    check("_file,b\n1,2\n", json!({"type": "csv"}), "_file_2|b", &["1|2"], &[]);
}

#[test]
fn ragged_rows_and_nulls() {
    let text = "a,b,c\n1\n1,2,3,\n1,2,3,4\n1,2,\n";
    check(text, json!({"type": "csv"}), "a|b|c", &["1|∅|∅", "1|2|3", "1|2|∅"], &["4:too_many_fields"]);
    assert_eq!(load(text, &json!({"type": "csv"})).report.padded, 1);
    check(
        text,
        json!({"type": "csv", "ragged": "reject"}),
        "a|b|c",
        &["1|2|3", "1|2|∅"],
        &["2:too_few_fields", "4:too_many_fields"],
    );
    let nulls = json!({"type": "csv", "null": ["", "NULL"]});
    check("a,b\n,NULL\n\"\",\"NULL\"\n", nulls, "a|b", &["∅|∅", "|NULL"], &[]);
}

#[test]
fn b03_an_empty_field_is_null_and_the_empty_string_where_it_is_quoted() {
    let text = "a,b,c\n1,,\n,\"\",x\n,,\n\"\",2, \n";
    check(text, json!("csv"), "a|b|c", &["1|∅|∅", "∅||x", "∅|∅|∅", "|2| "], &[]);
    check(text, json!({"type": "csv", "empty_is_null": false}), "a|b|c", &["1||", "||x", "||", "|2| "], &[]);
    check("a;b\n;\"\"\n", json!({"quote": "none"}), "a|b", &["∅|\"\""], &[]);
    check("a;b\n;''\n", json!({"quote": "'"}), "a|b", &["∅|"], &[]);
    check("a\tb\n\tx\n", json!("tsv"), "a|b", &["∅|x"], &[]);
    for name in ["null", "null_values"] {
        let format = json!({"type": "csv", name: "NA"});
        check("a,b\nNA,\n\"NA\",1\n", format, "a|b", &["∅|∅", "NA|1"], &[]);
    }
    // JSON tells the two apart itself.
    check("{\"a\":\"\",\"b\":null}\n", json!("ndjson"), "a|b", &["|∅"], &[]);
    let both = json!({"path": "x.csv", "format": {"null": "NA", "null_values": "N/A"}});
    assert_eq!(FileTable::from_json(&Value::Null, &both).unwrap_err()[0].path, "format.null");
}

#[test]
fn b22_the_text_of_each_record_is_kept_beside_its_fields() {
    let kept = |text: &str, format: Value| {
        let block = json!({"path": "*", "format": format, "keep_raw": true});
        let table = FileTable::from_json(&Value::Null, &block).unwrap();
        let mut found = Vec::new();
        let mut sink = |event| {
            if let Event::Chunk(chunk) = event {
                let raw = chunk.kept.expect("the text is kept");
                for row in 0..chunk.rows {
                    let (position, number) = (chunk.positions.value(row), raw.records.value(row));
                    found.push(format!("{position} {number} {}", raw.texts.value(row)));
                }
            }
            Ok(())
        };
        read_bytes(text.as_bytes(), "x", &table, None, &mut sink).unwrap();
        found
    };
    let csv = json!({"type": "csv", "delimiter": ",", "comment": "#"});
    let text = "a,b\n1,\"x\ny\"\n\n# none\n1,2,3\n 2 , \r\n";
    assert_eq!(kept(text, csv), ["2 1 1,\"x\ny\"", "7 3  2 , "]);
    let lines = "{\"n\":181}\n\n{\"n\":\"181\"}\n[]\n{ \"n\" : 1.50}\n";
    assert_eq!(kept(lines, json!("ndjson")), ["1 1 {\"n\":181}", "3 2 {\"n\":\"181\"}", "5 4 { \"n\" : 1.50}"]);
    let document = "[{\"n\":181},\n1, {\"n\": \"181\"}]";
    assert_eq!(kept(document, json!("json")), ["1 1 {\"n\":181}", "3 3 {\"n\": \"181\"}"]);
}

#[test]
fn broken_records_are_rejected_and_reading_goes_on() {
    let csv = json!({"type": "csv"});
    check("a,b\n1,\"x\"y\n2,3\n", csv.clone(), "a|b", &["2|3"], &["2:text_after_quote"]);
    check("a,b\n1,\"x\n2,3\n", csv.clone(), "a|b", &["2|3"], &["2:unclosed_quote"]);
    check("a,b\n1,\"x\n2\n3,4\n", csv.clone(), "a|b", &["3|4"], &["2:unclosed_quote", "3:too_few_fields"]);
    check("a,b\n1,\0\n2,3\n", csv, "a|b", &["2|3"], &["2:nul_byte"]);
    let loaded = load(b"a,b\n1,\xFF\n2,3\n", &json!({"type": "csv", "encoding": "utf-8"}));
    assert_eq!(loaded.lines(), ["2|3"]);
    assert_eq!(
        (loaded.rejections(), loaded.rejected[0].bytes.as_slice()),
        (vec!["2:invalid_encoding".into()], &b"1,\xFF"[..])
    );
    assert_eq!(loaded.rejected[0].byte_offset, 4);
}

#[test]
fn positions_are_the_lines_on_which_records_start() {
    let loaded = load("\u{feff}a,b\r\n\r\n1,\"x\r\ny\"\r\n\r\n2,3\r\n", &json!({"type": "csv"}));
    assert_eq!(loaded.positions, [3, 6]);
}

#[test]
fn delimiters_are_found() {
    for delimiter in [',', ';', '|', '\t', '^', '~', ':', '$', '#'] {
        let other = if delimiter == ';' { ',' } else { ';' };
        let text = format!("id,name,at\n1,\"a{other}b\",12/30\n2,\"c,d\",10/00\n").replace(',', &delimiter.to_string());
        let loaded = load(text, &json!({"type": "csv"}));
        assert_eq!(loaded.report.delimiter, Some(delimiter.to_string()));
        assert_eq!(loaded.report.columns, ["id", "name", "at"]);
    }
}

#[test]
fn a_row_hash_ignores_the_order_of_columns_and_columns_without_values() {
    let csv = json!({"type": "csv", "null": [""]});
    let one = load("a,b\n1,2\n1,\n", &csv);
    let other = load("b,new,a\n2,,1\n,,1\n", &csv);
    assert_eq!(one.hashes, other.hashes);
    let json = load("{\"b\":\"2\",\"a\":1}\n{\"a\":1}\n", &json!({"type": "ndjson"}));
    assert_eq!(one.hashes, json.hashes);
    assert_ne!(one.hashes[0], load("a,b\n2,1\n", &csv).hashes[0]);
    assert_eq!(load("a,b\n1,\n", &json!("csv")).hashes, load("a,b\n1\n", &json!("csv")).hashes);
    assert_ne!(load("a,b\n1,\"\"\n", &json!("csv")).hashes, load("a,b\n1\n", &json!("csv")).hashes);
}

#[test]
fn known_columns_decide_the_spelling() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.csv");
    let known: Vec<String> = ["id", "name", "gone"].map(str::to_owned).to_vec();
    for (header, columns) in
        [("ID,NAME,gone", "id,name,gone"), ("name,id", "name,id"), ("id,New,name,gone", "id,New,name,gone")]
    {
        std::fs::write(&path, format!("{header}\n")).unwrap();
        let report = load_file(&path, &table(&json!("csv")), Some(&known)).unwrap().report;
        assert_eq!(report.columns.join(","), columns);
    }
}

#[test]
fn what_is_certainly_no_delimited_text_is_refused() {
    let message = "MSH|^~\\&|A|F|||2026||ADT^A01|1|P|2.5\rPID|1\r";
    for (text, is_other) in [
        (message, true),
        ("\n\nMSH|^~\\&|A\n", true),
        ("{\"id\": 1}\n{\"id\": 2}\n", true),
        ("[\n {\"id\": 1}]", true),
        ("MSH|PID\n1|2\n", false),
        ("{id},name\n1,2\n", false),
    ] {
        let result = try_load(text.as_bytes(), &json!({"type": "csv"}));
        assert_eq!(matches!(result, Err(ConnectError::OtherFormat { .. })), is_other, "{text:?} {result:?}");
        assert_eq!(result.is_err(), is_other);
    }
    // Where names are given, a line may hold anything.
    let lines = json!({"type": "csv", "delimiter": "\u{1}", "quote": "none", "columns": ["line"]});
    assert_eq!(load("{\"id\": 1}\n{\"id\": 2}\n", &lines).report.rows, 2);
    assert_eq!(load(message, &lines).report.rows, 2);
}

#[test]
fn a_header_has_the_keys_and_no_more_columns_than_a_table_takes() {
    let keyed =
        FileTable::from_json(&Value::Null, &json!({"path": "*", "format": "csv", "keys": ["patient_id"]})).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.csv");
    let read = |text: &str, known: Option<&[String]>| {
        std::fs::write(&path, text).unwrap();
        load_file(&path, &keyed, known).map(|loaded| loaded.lines())
    };
    assert_eq!(read("Patient_ID,ward\n1,A\n", None).unwrap(), ["1|A"]);
    let text = read("mrn,ward\n1,A\n", None).unwrap_err().to_string();
    assert!(text.contains("x.csv") && text.contains("no column `patient_id`") && text.contains("mrn, ward"), "{text}");
    let text = read("Smith,1990-01-02\n1,A\n", None).unwrap_err().to_string();
    assert!(!text.contains("Smith") && text.contains("do not look like names"), "{text}");
    let header = |count: usize| (0..count).map(|i| format!(",c{i}")).collect::<String>();
    let known = vec!["patient_id".to_owned()];
    assert!(read(&format!("patient_id{}\n1\n", header(512)), Some(&known)).is_ok());
    assert!(read(&format!("patient_id{}\n1\n", header(1000)), None).is_ok(), "the first file makes the table");
    for (count, known) in [(513, Some(known.as_slice())), (4096, None)] {
        let error = read(&format!("patient_id{}\n1\n", header(count)), known).unwrap_err();
        assert!(matches!(&error, ConnectError::Columns { message, .. } if message.contains("columns")), "{error}");
    }
    let long = format!("patient_id,{}\n1,2\n", "n".repeat(1025));
    assert!(matches!(read(&long, None), Err(ConnectError::Columns { .. })));
}
