use std::io::Write;

use serde_json::{Value, json};
use wardlake_connect::{
    ConnectError,
    source::{Compression, Encoding},
};

use crate::support::{load, try_load};

fn utf16(text: &str, little: bool, mark: bool) -> Vec<u8> {
    let mark = if mark { "\u{feff}" } else { "" };
    let units: Vec<u16> = mark.encode_utf16().chain(text.encode_utf16()).collect();
    units.iter().flat_map(|unit| if little { unit.to_le_bytes() } else { unit.to_be_bytes() }).collect()
}

#[test]
fn encodings_are_declared_or_found() {
    let text = "name,x\nMüller,1\n\"Zoë\nB\",2\n";
    let latin: Vec<u8> = text.chars().map(|c| c as u8).collect();
    for (bytes, declared, found) in [
        (text.as_bytes().to_vec(), "auto", Encoding::Utf8),
        (format!("\u{feff}{text}").into_bytes(), "auto", Encoding::Utf8),
        (format!("\u{feff}{text}").into_bytes(), "utf-8", Encoding::Utf8),
        (latin.clone(), "auto", Encoding::Windows1252),
        (latin.clone(), "windows-1252", Encoding::Windows1252),
        (latin, "latin-1", Encoding::Latin1),
        (utf16(text, true, true), "auto", Encoding::Utf16Le),
        (utf16(text, false, true), "auto", Encoding::Utf16Be),
        (utf16(text, true, false), "auto", Encoding::Utf16Le),
        (utf16(text, false, false), "auto", Encoding::Utf16Be),
        (utf16(text, false, true), "utf-16", Encoding::Utf16Be),
        (utf16(text, true, false), "utf-16", Encoding::Utf16Le),
        (utf16(text, false, false), "utf-16be", Encoding::Utf16Be),
    ] {
        let loaded = load(&bytes, &json!({"type": "csv", "encoding": declared}));
        assert_eq!(loaded.lines(), ["Müller|1", "Zoë\nB|2"], "{declared} {found:?}");
        assert_eq!(loaded.report.columns, ["name", "x"]);
        assert_eq!(loaded.report.encoding, found);
        assert_eq!(loaded.positions, [2, 3]);
    }
    let euro = load(b"a\n\x80\n", &json!("csv"));
    assert_eq!(euro.lines(), ["€"]);
    // JSON is UTF-8 unless the settings say otherwise.
    let bytes = b"{\"a\":\"M\xFCller\"}\n{\"a\":\"Z\xC3\xBC\"}\n";
    let json = load(bytes, &json!("ndjson"));
    assert_eq!((json.lines(), json.rejections()), (vec!["Zü".into()], vec!["1:invalid_encoding".into()]));
    let json = load(bytes, &json!({"type": "ndjson", "encoding": "windows-1252"}));
    assert_eq!(json.lines(), ["Müller", "ZÃ¼"]);
}

#[test]
fn broken_utf16_rejects_its_record() {
    let mut bytes = utf16("a\n1\n", true, true);
    bytes.extend([0x00, 0xD8, b'x', 0, b'\n', 0, b'2', 0, b'\n', 0]);
    let loaded = load(&bytes, &json!("csv"));
    assert_eq!(
        (loaded.lines(), loaded.rejections()),
        (vec!["1".into(), "2".into()], vec!["3:invalid_encoding".into()])
    );
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn compressed_files_are_read_and_short_ones_are_unfinished() {
    let text: String = (0..5000).fold("a,b\n".to_owned(), |text, i| text + &format!("{i},{}\n", i * 7919 % 104_729));
    let members = [gzip(&text.as_bytes()[..1000]), gzip(&text.as_bytes()[1000..])].concat();
    let zstd = zstd::encode_all(text.as_bytes(), 1).unwrap();
    for (bytes, compression) in [(members, Compression::Gzip), (zstd, Compression::Zstd)] {
        for declared in [json!({"type": "csv"}), json!({"type": "csv", "compression": compression})] {
            let loaded = load(&bytes, &declared);
            assert_eq!((loaded.report.rows, loaded.report.compression), (5000, compression));
            assert_eq!(loaded.report.bytes_read, bytes.len() as u64);
        }
        for cut in [bytes.len() - 1, bytes.len() - 9, bytes.len() / 2, 20] {
            let result = try_load(&bytes[..cut], &json!("csv"));
            assert!(matches!(result, Err(ConnectError::Unfinished { .. })), "{compression:?} {cut}");
        }
    }
    let mut broken = gzip(text.as_bytes());
    let middle = broken.len() / 2;
    broken[middle..middle + 50].fill(0x55);
    let result = try_load(&broken, &json!("csv"));
    assert!(matches!(result, Err(ConnectError::Corrupt { .. } | ConnectError::Unfinished { .. })));
    assert!(try_load(b"no gzip", &json!({"type": "csv", "compression": "gzip"})).is_err());
}

#[test]
fn the_raw_bytes_are_hashed_and_copied_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.csv.gz");
    std::fs::write(&path, gzip(b"a\n1\n")).unwrap();
    let file = wardlake_connect::FoundFile::at(&path).unwrap();
    let table = crate::support::table(&Value::Null);
    let mut copy = Vec::new();
    let report = wardlake_connect::read(&file, &table, None, Some(&mut copy), 2, &mut |_| Ok(())).unwrap();
    assert_eq!(copy, std::fs::read(&path).unwrap());
    assert_eq!(report.rows, 1);
    assert_eq!(report.sha256.len(), 64);

    let grown = wardlake_connect::FoundFile { size: 1, ..file };
    let result = wardlake_connect::read(&grown, &table, None, None, 2, &mut |_| Ok(()));
    assert!(matches!(result, Err(ConnectError::Unfinished { .. })));
}

#[test]
fn a_known_hash() {
    let loaded = load("abc", &json!({"type": "csv", "header": false}));
    assert_eq!(loaded.report.sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}
