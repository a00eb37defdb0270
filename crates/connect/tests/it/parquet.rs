use std::sync::Arc;

use arrow::{
    array::{
        ArrayRef, BinaryArray, BooleanArray, Date32Array, Float64Array, Int64Array, ListArray, RecordBatch,
        StringArray, TimestampMicrosecondArray,
    },
    datatypes::Int32Type,
};
use parquet::arrow::ArrowWriter;
use serde_json::json;
use wardlake_connect::{ConnectError, source::FileFormat};

use crate::support::{load, try_load};

fn file() -> Vec<u8> {
    let lists = ListArray::from_iter_primitive::<Int32Type, _, _>([Some(vec![Some(1), None]), None]);
    let batch = RecordBatch::try_from_iter([
        ("id", Arc::new(Int64Array::from(vec![1, 2])) as ArrayRef),
        ("name", Arc::new(StringArray::from(vec![Some("Zoë"), None]))),
        ("flag", Arc::new(BooleanArray::from(vec![true, false]))),
        ("rate", Arc::new(Float64Array::from(vec![1.5, 2.0]))),
        ("day", Arc::new(Date32Array::from(vec![0, 19_000]))),
        ("at", Arc::new(TimestampMicrosecondArray::from(vec![0, 1_500_000]))),
        ("raw", Arc::new(BinaryArray::from_vec(vec![b"text", b"\xFF\x00"]))),
        ("list", Arc::new(lists)),
    ])
    .unwrap();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bytes
}

#[test]
fn every_type_becomes_text() {
    for format in [json!({}), json!("parquet")] {
        let loaded = load(file(), &format);
        assert_eq!(
            loaded.lines(),
            [
                "1|Zoë|true|1.5|1970-01-01|1970-01-01T00:00:00|text|[1,null]",
                "2|∅|false|2.0|2022-01-08|1970-01-01T00:00:01.500|ff00|∅",
            ]
        );
        assert_eq!(loaded.positions, [1, 2]);
        assert_eq!(loaded.report.file_format, FileFormat::Parquet);
        assert_eq!(loaded.report.sha256.len(), 64);
    }
}

#[test]
fn a_short_file_is_unfinished_and_another_file_is_corrupt() {
    let bytes = file();
    let result = try_load(&bytes[..bytes.len() / 2], &json!({}));
    assert!(matches!(result, Err(ConnectError::Unfinished { .. })));
    let result = try_load(b"a,b\n1,2\n", &json!("parquet"));
    assert!(matches!(result, Err(ConnectError::Corrupt { .. })));
}
