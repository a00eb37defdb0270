//! Files that are none of the formats that are read, and files that are read in the wrong way.

use std::io::Write;

use serde_json::{Value, json};
use wardlake_connect::{ConnectError, Event, read_bytes};

use crate::support::{load, table, try_load};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A block with `magic` at a place, NUL bytes around it.
fn block(beginning: &[u8], place: usize, magic: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 1024];
    bytes[..beginning.len()].copy_from_slice(beginning);
    bytes[place..place + magic.len()].copy_from_slice(magic);
    bytes
}

/// What would be read of each as rows or as nothing, and a word of the refusal.
fn foreign() -> Vec<(Vec<u8>, &'static str)> {
    let page = b"\n<!DOCTYPE html>\n<html><body>Please log in, or wait</body></html>\n";
    let clinical = b"\xEF\xBB\xBF<?xml version=\"1.0\"?>\n<ClinicalDocument xmlns=\"urn:hl7-org:v3\">\n<id/>\n</ClinicalDocument>\n";
    let utf16: Vec<u8> = "\u{feff}<?xml version=\"1.0\"?>\n<a/>".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let tar = block(b"beds.csv", 257, b"ustar\x0000");
    let noise: Vec<u8> = (0..4000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    vec![
        (block(b"PK\x03\x04\x14\0\0\0\x08\0beds.csv", 600, b"id,ward\n1,A\n"), "a zip archive"),
        (b"PK\x05\x06\0\0\0\0".to_vec(), "a zip archive"),
        (block(b"PK\x03\x04\x14\0\x06\0", 30, b"[Content_Types].xml"), "xlsx"),
        (block(b"PK\x03\x04\x14\0\0\0", 30, b"mimetypeapplication/vnd.oasis.opendocument.spreadsheet"), "ods"),
        (block(b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1", 24, b"\x3E\0\x03\0"), "xls"),
        (b"7z\xBC\xAF\x27\x1C\0\x04".to_vec(), "7z"),
        (b"Rar!\x1A\x07\x01\0".to_vec(), "rar"),
        (tar.clone(), "a tar archive"),
        (gzip(&tar), "a tar archive"),
        (gzip(&gzip(b"id\n1\n")), "compressed with gzip"),
        (b"BZh91AY&SY\x01\x02\x03".to_vec(), "bzip2"),
        (b"\xFD7zXZ\0\0\x04".to_vec(), "xz"),
        (b"%PDF-1.7\n%\xE2\xE3\xCF\xD3\n1 0 obj\n".to_vec(), "PDF"),
        (b"\x89PNG\r\n\x1A\n\0\0\0\rIHDR".to_vec(), "PNG"),
        (b"\xFF\xD8\xFF\xE0\0\x10JFIF\0".to_vec(), "JPEG"),
        (block(&[], 128, b"DICM"), "DICOM"),
        (b"Obj\x01\x04\x16avro.schema".to_vec(), "Avro"),
        (b"ORC\x08\x03\x10\0\0".to_vec(), "ORC"),
        (gzip(b"PAR1\x15\x04\x15\0"), "type: parquet"),
        (vec![0; 4096], "NUL bytes"),
        (vec![0; 2], "NUL bytes"),
        (noise, "binary data"),
        (page.to_vec(), "an HTML page"),
        (gzip(page), "an HTML page"),
        (clinical.to_vec(), "CDA"),
        (b"<Bundle xmlns=\"http://hl7.org/fhir\">\n  <id value=\"1\"/>\n".to_vec(), "XML"),
        (b"<rows>\n<row>1</row>\n</rows>\n".to_vec(), "XML"),
        (utf16, "XML"),
    ]
}

#[test]
fn b09_what_is_no_table_is_refused_by_its_first_bytes() {
    let formats = [json!({}), json!("csv"), json!("tsv"), json!("json"), json!("ndjson"), json!("hl7")];
    for (bytes, word) in foreign() {
        for format in &formats {
            let error = try_load(&bytes, format).unwrap_err();
            assert!(matches!(error, ConnectError::Corrupt { .. }), "{format}: {error}");
            let text = error.to_string();
            assert!(text.contains(word) && text.contains(';'), "{format}: `{word}` and what to do in: {text}");
            assert!(!text.contains("log in,") && !text.contains("urn:"), "values in: {text}");
        }
        let columns = json!({"type": "csv", "header": false, "columns": ["a", "b"], "skip_rows": 0});
        assert!(try_load(&bytes, &columns).is_err(), "{word}");
        let mut sink = |_: Event| Ok(());
        let error = read_bytes(&bytes, "a delivery", &table(&json!("csv")), None, &mut sink).unwrap_err();
        assert!(error.to_string().contains(word), "{error}");
    }
    let parquet = json!({"type": "csv"});
    assert!(try_load(b"PAR1\x15\x04\x15\0\0", &parquet).unwrap_err().to_string().contains("type: parquet"));
    let plain = json!({"type": "csv", "compression": "none"});
    assert!(try_load(&gzip(b"id\n1\n"), &plain).unwrap_err().to_string().contains("compression"));
}

#[test]
fn b09_text_that_only_looks_odd_is_read() {
    for (text, rows) in [
        ("<id>,<name>\n1,x\n", 1),
        ("PK,name\n1,x\n", 1),
        ("ORC,PAR1\n1,x\n2,y\n", 2),
        ("a,b\n1,<b>x</b>\n", 1),
        ("a\u{1}b\n1\u{1}x\n", 1),
    ] {
        assert_eq!(load(text, &json!("csv")).report.rows, rows, "{text:?}");
    }
    // One column of lines takes any text.
    let lines = json!({"type": "csv", "delimiter": "\u{1}", "quote": "none", "columns": ["line"]});
    assert_eq!(load("<?xml version=\"1.0\"?>\n<a>\n</a>\n", &lines).report.rows, 3);
}

fn words(text: &str, format: &Value) -> Vec<String> {
    load(text, format).report.words()
}

#[test]
fn b10_a_line_that_names_the_delimiter_is_no_header() {
    for (text, delimiter) in [
        ("sep=;\nid;name\n1;x,y\n2;z\n", ";"),
        ("\u{feff}SEP=;\r\nid;name\r\n1;x,y\r\n2;z\r\n", ";"),
        ("\"sep=;\"\nid;name\n1;x,y\n2;z\n", ";"),
        ("sep=;;\nid;name\n1;x,y\n2;z\n", ";"),
        ("sep=\t\nid\tname\n1\tx,y\n2\tz\n", "\t"),
        ("sep=\\t\nid\tname\n1\tx,y\n2\tz\n", "\t"),
        ("sep=|\rid|name\r1|x,y\r2|z\r", "|"),
    ] {
        let loaded = load(text, &json!("csv"));
        assert_eq!((loaded.lines(), loaded.rejections().len()), (vec!["1|x,y".into(), "2|z".into()], 0), "{text:?}");
        assert_eq!((loaded.report.columns.join(","), &loaded.positions), ("id,name".into(), &vec![3, 4]), "{text:?}");
        assert_eq!(loaded.report.delimiter.as_deref(), Some(delimiter), "{text:?}");
        assert_eq!(loaded.report.words(), [""; 0], "{text:?}");
    }
    let text = "sep=;\nid;name\n1;x\n";
    let skipped = load(text, &json!({"type": "csv", "skip_rows": 1}));
    assert_eq!((skipped.lines(), skipped.report.columns.join(",")), (vec!["1|x".into()], "id,name".into()));
    let declared = load(text, &json!({"type": "csv", "delimiter": ";"}));
    assert_eq!(declared.lines(), ["1|x"]);
    for other in ["sep=\n1\n", "sep=ab\n1\n", "separator\n1\n", "sep\n1\n"] {
        assert_eq!(load(other, &json!("csv")).report.rows, 1, "{other:?}");
    }
}

#[test]
fn b10_a_file_that_is_read_in_the_wrong_way_has_a_word_with_the_likely_reason() {
    let csv = json!("csv");
    for (text, format, parts) in [
        ("Beds\nid;ward\n1;A\n2;B\n3;C\n", json!({"type": "csv", "delimiter": ";"}), ["none of its", "skip_rows"]),
        ("Beds\nof June\n\nid,ward\n1,A\n2,B\n", csv.clone(), ["only 1 of its 4", "skip_rows"]),
        ("Made: today\nid,ward\n1,A\n2,B\n", csv.clone(), ["3 of its 3 rows", "skip_rows"]),
        ("not json\nnor this\n", json!("ndjson"), ["none of its", "`type`"]),
        ("a,b\n1,\"x\n", csv.clone(), ["none of its", "`quote`"]),
        ("1,Smith,A\n2,Jones,B\n", csv.clone(), ["names of columns", "`header: false`"]),
        ("Smith,1990-01-02\nJones,1991-02-03\n", csv.clone(), ["names of columns", "`header: false`"]),
    ] {
        let told = words(text, &format);
        assert_eq!(told.len(), 1, "{text:?}: {told:?}");
        assert!(parts.iter().all(|part| told[0].contains(part)), "{text:?}: {told:?}");
        assert!(!told[0].contains("Smith") && !told[0].contains("Made"), "values in {told:?}");
    }
    for (text, format) in [
        ("a,b\n1,2\n1,2,3\n", csv.clone()),
        ("ward,2024,2025\nA,1,2\n", csv.clone()),
        ("ward,1,2,3,4\nA,1,2,3,4\n", csv.clone()),
        ("1,x\n", json!({"type": "csv", "header": false})),
        ("", csv),
    ] {
        assert_eq!(words(text, &format), [""; 0], "{text:?}");
    }
}

#[test]
fn b17_a_last_line_that_was_cut_short_has_a_word_or_is_rejected() {
    for text in ["id,name,ward\n1,x,A\n2,y", "id,name,ward\r\n1,x,A\r\n2,y", "id,name,ward\n1,x,A\n2"] {
        let loaded = load(text, &json!("csv"));
        assert_eq!((loaded.report.rows, loaded.report.cut_line), (2, Some(3)), "{text:?}");
        let told = loaded.report.words();
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].contains("line 3") && told[0].contains("ragged: reject"), "{told:?}");
        let rejecting = load(text, &json!({"type": "csv", "ragged": "reject"}));
        assert_eq!(
            (rejecting.lines(), rejecting.rejections()),
            (vec!["1|x|A".into()], vec!["3:too_few_fields".into()])
        );
        assert_eq!(rejecting.report.words(), [""; 0]);
    }
    for text in ["id,name\n1,x\n2,y", "id,name\n1,x\n2,\n", "id,name\n1,x\n2,y\n3\n"] {
        assert_eq!(load(text, &json!("csv")).report.cut_line, None, "{text:?}");
    }
}
