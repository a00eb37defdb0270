//! Invariants that hold wherever blocks are cut: tested with blocks far smaller than the shipped ones.

use std::{collections::HashSet, io::Write};

use arrow::array::{Array, AsArray};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{RejectReason, source::from_json};

type Row = (i64, Vec<(String, Option<String>)>, u128);

#[derive(Debug, PartialEq)]
struct Loaded {
    rows: Vec<Row>,
    rejected: Vec<Rejected>,
    report: FileReport,
}

fn load(bytes: &[u8], format: &Value, limits: Limits, threads: usize) -> Result<Loaded, ConnectError> {
    load_into(None, bytes, format, limits, threads)
}

fn load_into(
    known: Option<&[String]>,
    bytes: &[u8],
    format: &Value,
    limits: Limits,
    threads: usize,
) -> Result<Loaded, ConnectError> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    file.flush().unwrap();
    let table = from_json(&Value::Null, &json!({"path": "x", "format": format})).unwrap();
    let (mut rows, mut rejected) = (Vec::new(), Vec::new());
    let mut copy = Vec::new();
    let found = FoundFile::at(file.path()).unwrap();
    let report = read_within(&found, &table, known, Some(&mut copy), threads, limits, &mut |event| {
        match event {
            Event::Chunk(chunk) => rows_of(&chunk, &mut rows),
            Event::Rejected(record) => rejected.push(record),
        }
        Ok(())
    })?;
    assert_eq!(copy, bytes);
    assert_eq!(report.rows, rows.len() as u64);
    assert_eq!(report.rejected, rejected.len() as u64);
    Ok(Loaded { rows, rejected, report })
}

fn rows_of(chunk: &Chunk, rows: &mut Vec<Row>) {
    for row in 0..chunk.rows {
        let fields = chunk.columns.iter().zip(&chunk.arrays).map(|(name, array)| {
            let array = array.as_string::<i32>();
            (name.clone(), array.is_valid(row).then(|| array.value(row).to_owned()))
        });
        rows.push((chunk.positions.value(row), fields.collect(), chunk.row_hashes[row]));
    }
}

/// NULLs left out, since a block of JSON may lack a column that another one has.
fn values(loaded: &Loaded) -> Vec<Vec<(&str, &str)>> {
    loaded
        .rows
        .iter()
        .map(|(_, fields, _)| {
            fields.iter().filter_map(|(name, value)| Some((name.as_str(), value.as_deref()?))).collect()
        })
        .collect()
}

/// The same in the order of the names.
fn values_by_name(loaded: &Loaded) -> Vec<Vec<(&str, &str)>> {
    let mut rows = values(loaded);
    rows.iter_mut().for_each(|row| row.sort_unstable());
    rows
}

fn tiny(block: usize) -> Limits {
    Limits { head: 4096, block, record: 1 << 20 }
}

fn quoted(field: &str) -> String {
    if field.is_empty() || field.contains([',', '"', '\n', '\r', ' ']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn written_csv_is_read_back_wherever_blocks_are_cut(
        rows in prop::collection::vec(prop::collection::vec("[ab,\"\n\ré ]{0,6}", 3), 1..20),
        block in 1_usize..64,
        line_end in prop::sample::select(vec!["\n", "\r\n"]),
        threads in 1_usize..4,
    ) {
        let mut text = format!("x,y,z{line_end}");
        let mut lines = Vec::new();
        for row in &rows {
            lines.push(text.matches('\n').count() as i64 + 1);
            text.push_str(&row.iter().map(|field| quoted(field)).collect::<Vec<_>>().join(","));
            text.push_str(line_end);
        }
        let loaded = load(text.as_bytes(), &json!({"type": "csv", "delimiter": ","}), tiny(block), threads).unwrap();
        prop_assert_eq!(&loaded.rejected, &vec![]);
        let read: Vec<Vec<String>> =
            loaded.rows.iter().map(|(_, f, _)| f.iter().map(|(_, v)| v.clone().unwrap()).collect()).collect();
        prop_assert_eq!(read, rows);
        prop_assert_eq!(loaded.rows.iter().map(|(line, ..)| *line).collect::<Vec<_>>(), lines);
    }

    #[test]
    fn any_bytes_are_read_as_csv_the_same_on_every_number_of_threads(
        bytes in prop::collection::vec(prop::sample::select(b"a,;\"\n\r\\#|\xE9\0".to_vec()), 0..300),
        block in 1_usize..64,
        escape in prop::sample::select(vec!["none", "\\"]),
        delimiter in prop::sample::select(vec!["auto", ",", "||"]),
        comment in prop::sample::select(vec!["none", "#"]),
    ) {
        let format = json!({"type": "csv", "escape": escape, "delimiter": delimiter, "comment": comment});
        let (one, three) = (load(&bytes, &format, tiny(block), 1), load(&bytes, &format, tiny(block), 3));
        // What begins with nothing but NUL bytes is no text.
        if !bytes.is_empty() && bytes.iter().take(4).all(|byte| *byte == 0) {
            prop_assert!(one.is_err() && three.is_err());
            return Ok(());
        }
        let (one, three) = (one.unwrap(), three.unwrap());
        prop_assert_eq!(&one, &three);
        prop_assert!(one.rows.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }

    #[test]
    fn every_line_without_quotes_is_accounted_for(
        lines in prop::collection::vec("[ab,é]{0,8}", 0..40),
        block in 1_usize..64,
    ) {
        let text = format!("x,y\n{}", lines.iter().map(|line| format!("{line}\n")).collect::<String>());
        let loaded = load(text.as_bytes(), &json!({"type": "csv", "delimiter": ","}), tiny(block), 2).unwrap();
        let report = &loaded.report;
        prop_assert_eq!(report.rows + report.rejected + report.blank, lines.len() as u64);
        for rejected in &loaded.rejected {
            let at = rejected.byte_offset as usize;
            prop_assert_eq!(&text.as_bytes()[at..at + rejected.bytes.len()], rejected.bytes.as_slice());
            prop_assert_eq!(text[..at].matches('\n').count() as u64 + 1, rejected.line);
        }
    }

    #[test]
    fn every_line_of_ndjson_is_accounted_for(
        lines in prop::collection::vec(
            prop_oneof![
                Just(r#"{"a": 1.50, "b": "x\ny"}"#.as_bytes().to_vec()),
                Just(br#"{"b": null, "c": {"d": [1]}}"#.to_vec()),
                prop::collection::vec(prop::sample::select(b"{}[]\",:a1\\ \xE9\0-".to_vec()), 0..20),
            ],
            0..30,
        ),
        block in 1_usize..64,
    ) {
        let text: Vec<u8> = lines.iter().flat_map(|line| line.iter().copied().chain([b'\n'])).collect();
        // What begins with nothing but NUL bytes is no text.
        prop_assume!(!text.starts_with(&[0; 4]));
        let format = json!({"type": "ndjson", "encoding": "utf-8"});
        let one = load(&text, &format, tiny(block), 1).unwrap();
        let three = load(&text, &format, tiny(block), 3).unwrap();
        prop_assert_eq!(&one, &three);
        prop_assert_eq!(one.report.rows + one.report.rejected + one.report.blank, lines.len() as u64);
        let whole = load(&text, &format, tiny(1 << 16), 1).unwrap();
        prop_assert_eq!(&one.rejected, &whole.rejected);
        let hashes = |loaded: &Loaded| loaded.rows.iter().map(|(line, _, hash)| (*line, *hash)).collect::<Vec<_>>();
        prop_assert_eq!(hashes(&one), hashes(&whole));
    }

    #[test]
    fn names_in_any_case_are_one_column_wherever_blocks_are_cut(
        objects in prop::collection::vec(
            prop::collection::btree_map(
                prop::sample::select(vec!["id", "ID", "Id", "id_2", "ID_2", "x", "X", "_file", "_FILE"]),
                prop::sample::select(vec!["null", "1", "2"]),
                0..5,
            ),
            1..30,
        ),
        block in 1_usize..64,
    ) {
        let object = |members: &std::collections::BTreeMap<&str, &str>| {
            let members: Vec<String> = members.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
            format!("{{{}}}\n", members.join(","))
        };
        let text: String = objects.iter().map(object).collect();
        let format = json!({"type": "ndjson"});
        let whole = load(text.as_bytes(), &format, tiny(1 << 16), 1).unwrap();
        let pieces = load(text.as_bytes(), &format, tiny(block), 3).unwrap();
        prop_assert_eq!(&pieces.rejected, &vec![]);
        prop_assert_eq!(&pieces.report, &whole.report);
        let hashes = |loaded: &Loaded| loaded.rows.iter().map(|(line, _, hash)| (*line, *hash)).collect::<Vec<_>>();
        prop_assert_eq!(hashes(&pieces), hashes(&whole));
        prop_assert_eq!(&values_by_name(&pieces), &values_by_name(&whole));
        let folded: HashSet<String> = whole.report.columns.iter().map(|name| name.to_lowercase()).collect();
        prop_assert_eq!(folded.len(), whole.report.columns.len());
        // No value is lost.
        let given = objects.iter().flatten().filter(|(_, value)| **value != "null").count();
        prop_assert_eq!(values(&whole).iter().map(Vec::len).sum::<usize>(), given);
    }

    #[test]
    fn any_bytes_are_read_as_json_or_refused(
        bytes in prop::collection::vec(prop::sample::select(b"{}[]\",:a1\\ \n".to_vec()), 0..120),
        block in 1_usize..32,
        records in prop::sample::select(vec![Value::Null, json!("/a"), json!("/a/1")]),
    ) {
        let format = json!({"type": "json", "records": records});
        let one = load(&bytes, &format, tiny(block), 1);
        let three = load(&bytes, &format, tiny(block), 3);
        prop_assert_eq!(one.map_err(|e| e.to_string().len()).ok(), three.map_err(|e| e.to_string().len()).ok());
    }

    #[test]
    fn a_json_array_is_read_wherever_it_is_cut_and_unfinished_when_it_is_short(
        texts in prop::collection::vec("[a{}\\[\\]\",\\\\é ]{0,6}", 1..20),
        block in 1_usize..32,
        short in 1_usize..400,
    ) {
        let items: Vec<Value> = texts.iter().map(|text| json!({"id": text, "n": {"deep": [text]}})).collect();
        let document = serde_json::to_vec_pretty(&json!({"meta": {"items": 1}, "items": items, "end": []})).unwrap();
        let format = json!({"type": "json", "records": "/items"});
        let loaded = load(&document, &format, tiny(block), 2).unwrap();
        prop_assert_eq!(values(&loaded).iter().map(|row| row[0].1).collect::<Vec<_>>(), texts);
        let cut = document.len().saturating_sub(short).max(1);
        let result = load(&document[..cut], &format, tiny(block), 2);
        let is_unfinished = matches!(result, Err(ConnectError::Unfinished { .. }));
        prop_assert!(is_unfinished);
    }
}

#[test]
fn a_file_brings_so_many_columns_wherever_blocks_are_cut() {
    let text: String = (0..700).map(|i| format!("{{\"id\":{i},\"Key{}\":1}}\n", i % 600)).collect();
    let known = ["ID".to_owned(), "KEY599".to_owned()];
    let format = json!({"type": "ndjson"});
    let whole = load_into(Some(&known), text.as_bytes(), &format, tiny(1 << 20), 1).unwrap();
    // 512 that are new, the one that is known, and those that repeat one of the first hundred.
    assert_eq!((whole.report.rows, whole.report.rejected, whole.report.columns.len()), (613, 87, 514));
    assert!(whole.rejected.iter().all(|record| record.reason == RejectReason::TooManyColumns));
    for (block, threads) in [(64, 1), (64, 3), (1000, 2)] {
        let pieces = load_into(Some(&known), text.as_bytes(), &format, tiny(block), threads).unwrap();
        assert_eq!((&pieces.report, &pieces.rejected), (&whole.report, &whole.rejected), "{block} {threads}");
    }
}

#[test]
fn a_stray_quote_costs_one_line_wherever_it_stands() {
    let mut text = String::from("a,b\n");
    for i in 0..200 {
        text.push_str(if i == 50 { "50,\"x\n" } else { "1,\"y\"\n" });
    }
    for limits in [tiny(32), tiny(700), tiny(1 << 20), Limits { head: 4096, block: 64, record: 128 }] {
        let loaded = load(text.as_bytes(), &json!({"type": "csv"}), limits, 2).unwrap();
        assert_eq!((loaded.report.rows, loaded.report.rejected), (199, 1), "{limits:?}");
        assert_eq!((loaded.rejected[0].line, loaded.rejected[0].bytes.as_slice()), (52, &b"50,\"x"[..]));
    }
    // Without another quote the open one reaches the end of the file, or the largest record.
    let text = text.replace("\"y\"", "y");
    for limits in [tiny(32), Limits { head: 4096, block: 64, record: 128 }] {
        let loaded = load(text.as_bytes(), &json!({"type": "csv"}), limits, 2).unwrap();
        assert_eq!((loaded.report.rows, loaded.report.rejected), (199, 1), "{limits:?}");
        assert_eq!(loaded.rejected[0].reason, RejectReason::UnclosedQuote);
    }
}

#[test]
fn a_line_that_is_too_long_is_passed_over() {
    let long = "x".repeat(200_000);
    for (text, format) in [
        (format!("a\n1\n{long}\n2\n"), json!({"type": "csv"})),
        (format!("{{\"a\":1}}\n\n{long}\n{{\"a\":2}}\n"), json!({"type": "ndjson"})),
    ] {
        let loaded = load(text.as_bytes(), &format, Limits { head: 4096, block: 64, record: 1024 }, 2).unwrap();
        assert_eq!((loaded.report.rows, loaded.report.rejected), (2, 1));
        let rejected = &loaded.rejected[0];
        assert_eq!((rejected.reason, rejected.line, rejected.length), (RejectReason::TooLong, 3, 200_000));
        assert!(rejected.bytes.len() <= crate::MAX_REJECTED_BYTES);
        assert_eq!(loaded.rows[1].0, 4);
    }
}

#[test]
fn a_huge_json_record_is_refused() {
    let text = format!("[{{\"a\":\"{}\"}}]", "x".repeat(5000));
    let result = load(text.as_bytes(), &json!({"type": "json"}), Limits { head: 4096, block: 64, record: 1024 }, 1);
    assert!(matches!(result, Err(ConnectError::RecordTooLarge { record: 1, .. })));
}

#[test]
fn a_stopped_receiver_stops_the_reading() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all("a\n".repeat(10_000).as_bytes()).unwrap();
    let table = from_json(&Value::Null, &json!({"path": "x", "format": "csv"})).unwrap();
    let found = FoundFile::at(file.path()).unwrap();
    for threads in [1, 3] {
        let result = read_within(&found, &table, None, None, threads, tiny(64), &mut |_| Err(ConnectError::Stopped));
        assert!(matches!(result, Err(ConnectError::Stopped)));
    }
}
