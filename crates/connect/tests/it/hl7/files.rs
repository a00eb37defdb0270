//! Files of messages.

use std::fs;

use serde_json::json;
use wardlake_connect::hl7::{Decoder, Frame, Mapping, read_row};

use crate::support::{Loaded, load, load_file, table};

fn message(id: u32) -> String {
    format!("MSH|^~\\&|APP|FAC|||20261128||ADT^A01|{id}|P|2.5\rPID|1||P{id}\r")
}

fn read(text: &str) -> Loaded {
    load(text, &json!({"type": "hl7"}))
}

fn column(loaded: &Loaded, name: &str) -> Vec<String> {
    let value = |row: &Vec<(String, Option<String>)>| {
        row.iter().find(|(column, _)| column == name).and_then(|(_, value)| value.clone()).unwrap_or_default()
    };
    loaded.rows.iter().map(value).collect()
}

fn ids(loaded: &Loaded) -> String {
    column(loaded, "message_control_id").join(" ")
}

#[test]
fn messages_stand_in_files_in_every_way() {
    let (one, two) = (message(1), message(2));
    for (text, positions) in [
        (format!("{one}{two}"), vec![1, 3]),
        (format!("{one}{two}").replace('\r', "\n"), vec![1, 3]),
        (format!("{one}{two}").replace('\r', "\r\n"), vec![1, 3]),
        (format!("\u{feff}{one}\r\r{two}"), vec![1, 5]),
        (format!("\u{b}{one}\u{1c}\r\u{b}{two}\u{1c}\r"), vec![1, 4]),
        (format!("\u{b}{}\u{1c}\u{b}{}\u{1c}", one.trim_end(), two.trim_end()), vec![1, 3]),
        (format!("FHS|^~\\&|\rBHS|^~\\&|\r{one}{two}BTS|2\rFTS|1\r"), vec![3, 5]),
        (format!("{one}\n{}", two.trim_end()), vec![1, 3]),
    ] {
        let loaded = read(&text);
        assert_eq!(loaded.rejections(), [""; 0], "{text:?}");
        assert_eq!((ids(&loaded).as_str(), &loaded.positions), ("1 2", &positions), "{text:?}");
        assert_eq!(column(&loaded, "patient_id"), ["P1", "P2"], "{text:?}");
        assert_eq!(column(&loaded, "message")[1], two.trim_end(), "{text:?}");
    }
    // The hash of a row is that of its fields, so a message is the same however its lines end.
    let (returns, feeds) = (read(&one), read(&one.replace('\r', "\n")));
    assert_eq!(returns.hashes, feeds.hashes);
    assert_eq!(returns.report.columns.len(), returns.rows[0].len());
}

#[test]
fn a_broken_message_is_rejected_with_its_bytes() {
    let text = format!("lost\r{}MSH|^~\\&|A\rPID|\r\r{}PI\r{}", message(1), message(2), message(3));
    let loaded = read(&text);
    assert_eq!((ids(&loaded).as_str(), &loaded.positions), ("1 3", &vec![2, 10]));
    assert_eq!(loaded.rejections(), ["1:hl7_no_header", "4:hl7_required_field", "7:hl7_segment"]);
    assert_eq!(loaded.rejected[1].bytes, b"MSH|^~\\&|A\rPID|");
    for rejected in &loaded.rejected {
        let start = rejected.byte_offset as usize;
        assert_eq!(rejected.bytes, text.as_bytes()[start..start + rejected.length as usize]);
    }
}

#[test]
fn a_trailer_that_counts_otherwise_is_rejected() {
    for (envelope, rejected) in [
        ("FHS|;BHS|;1;2;BTS|2|x;BHS|;3;BTS|1;FTS|2", &[][..]),
        ("FHS|;BHS|;1;2;BTS|3|x;BHS|;3;BTS|1;FTS|2", &["BTS|3|x"]),
        ("FHS|;BHS|;1;2;BTS|2;BHS|;3;BTS|1;FTS|3", &["FTS|3"]),
        ("BHS|;1;BTS|0;BHS|;2;BTS|9;3", &["BTS|0", "BTS|9"]),
        ("FHS|;1;2;FTS|2;3", &[]),
        ("FHS|;1;2;FTS|1;3", &[]),
        ("FHS|;1;2;FTS|7;3", &["FTS|7"]),
        ("BHS#;1;2;BTS#1;3", &["BTS#1"]),
        ("BHS|;1;2;3;BTS|;FTS|many", &[]),
        ("1;2;3;BTS", &[]),
    ] {
        let parts = envelope.split(';').map(|part| part.parse::<u32>().map_or_else(|_| format!("{part}\r"), message));
        let text: String = parts.collect();
        let loaded = read(&text);
        assert_eq!(ids(&loaded), "1 2 3", "{envelope}");
        let found: Vec<String> =
            loaded.rejected.iter().map(|rejected| String::from_utf8(rejected.bytes.clone()).unwrap()).collect();
        assert_eq!(found, rejected, "{envelope}");
        assert!(loaded.rejected.iter().all(|rejected| rejected.reason.code() == "hl7_count_mismatch"));
        for rejected in &loaded.rejected {
            let before = &text[..rejected.byte_offset as usize];
            assert_eq!(rejected.line, 1 + before.matches('\r').count() as u64, "{envelope}");
        }
        let envelopes = envelope.split(';').filter(|part| part.parse::<u32>().is_err()).count();
        assert_eq!(loaded.report.blank as usize, envelopes - rejected.len(), "{envelope}");
    }
}

#[test]
fn d09_a_file_gives_the_messages_that_a_connection_gives() {
    let header =
        |delimiters: &str, id: u32| format!("MSH|{delimiters}|APP|FAC|||20261128||ORU^R01|{id}|P|2.5\rOBR|1\r");
    let text = format!(
        "\u{b}{}OBX|1|ST|X||a\u{1c}b\u{b}c\r\u{1c}\r\0\u{b}{}\0\u{1c}\r\0\r\n\u{b}BHS|\r{}BTS|7\r\u{1c}\r",
        header("^~\\&&", 1),
        header("^~\\&", 2),
        header("^~\\&#", 3),
    );
    let loaded = read(&text);
    assert_eq!(ids(&loaded), "1 2 3");
    assert_eq!(loaded.rejections(), ["15:hl7_count_mismatch"]);
    assert!(column(&loaded, "observations")[0].contains(r"a\u001cb\u000bc"), "{:?}", column(&loaded, "observations"));
    let mut decoder = Decoder::new(10_000);
    decoder.push(text.as_bytes());
    decoder.finish();
    let (mut messages, mut broken) = (Vec::new(), Vec::new());
    while let Some(frame) = decoder.next_frame() {
        match frame {
            Frame::Message(bytes) => messages.push(read_row(&bytes, &Mapping::default()).unwrap()),
            Frame::Broken { problem, .. } => broken.push((problem.reason.code(), problem.is_awaited)),
        }
    }
    let texts: Vec<&str> = messages.iter().map(|row| row.get("message").unwrap()).collect();
    assert_eq!(texts, column(&loaded, "message"));
    assert_eq!(broken, [("hl7_count_mismatch", false)]);
}

#[test]
fn a_file_is_known_by_its_name_or_its_header() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text, is_hl7) in [
        ("a.hl7", "MSH#*~!&#\r".to_owned(), true),
        ("a.HL7.gz", "MSH#*~!&#\r".to_owned(), true),
        ("a.txt", message(1), true),
        ("b.txt", format!("\u{b}{}", message(1)), true),
        ("c.txt", format!("FHS|^~\\&|\r{}", message(1)), true),
        ("d.txt", "MSH,id\n1,2\n".to_owned(), false),
    ] {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        let loaded = load_file(&path, &table(&json!({})), None).unwrap();
        let format = serde_json::to_value(loaded.report.file_format).unwrap();
        assert_eq!(format == "hl7", is_hl7, "{name}: {format}");
    }
}

#[test]
fn each_message_has_its_own_character_set() {
    let with = |charset: &str, name: &[u8]| {
        let header = format!("MSH|^~\\&|A|F|||2026||ADT^A01|1|P|2.5||||||{charset}\rPID|1||P||");
        [header.as_bytes(), name, b"\r"].concat()
    };
    let text =
        [with("8859/1", b"M\xFCller"), with("UNICODE UTF-8", b"M\xC3\xBCller"), with("8859/5", b"\xB1")].concat();
    let loaded = load(&text, &json!({"type": "hl7"}));
    assert_eq!(column(&loaded, "family_name"), ["Müller", "Müller", "Б"]);
    assert_eq!(column(&loaded, "charset_note"), [""; 3]);
    // A setting is obeyed: what is not in it is rejected.
    let loaded = load(&text, &json!({"type": "hl7", "encoding": "utf-8"}));
    assert_eq!(loaded.rejections(), ["1:invalid_encoding", "5:invalid_encoding"]);
    let wide: Vec<u8> = format!("\u{feff}{}", message(1)).encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(ids(&load(&wide, &json!({"type": "hl7"}))), "1");
}

#[test]
fn a_sites_mapping_reaches_its_files() {
    let format = json!({"type": "hl7", "mapping": {"columns": {"id": "PID-3", "nothing": "ZZZ-9"}}});
    let loaded = load(message(7), &format);
    assert_eq!((column(&loaded, "id"), column(&loaded, "nothing")), (vec!["P7".to_owned()], vec![String::new()]));
    assert!(loaded.report.columns.contains(&"nothing".to_owned()));
}
