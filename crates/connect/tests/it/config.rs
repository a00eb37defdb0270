use std::path::Path;

use serde_json::{Value, json};
use wardlake_connect::{
    FileTable,
    source::{Change, Delimiter, FileFormat, Header},
};

#[test]
fn the_table_wins_over_its_source() {
    let source =
        json!({"connector": "files", "root": "in", "format": {"type": "csv", "delimiter": ";", "quote": "none"}});
    let table = json!({"path": "p_*.csv", "keys": "id", "format": {"delimiter": "tab", "columns": ["id"]}});
    let table = FileTable::from_json(&source, &table).unwrap();
    assert_eq!(table.extracts().unwrap().folder(Path::new("project")), Some(Path::new("project").join("in")));
    assert_eq!((table.keys, table.change), (vec!["id".to_owned()], Change::Full));
    assert_eq!(table.format.file_format, FileFormat::Csv);
    assert_eq!(table.format.delimiter, Delimiter::Text("\t".to_owned()));
    assert_eq!((table.format.quote, table.format.header), (None, Header::No));
}

#[test]
fn every_problem_is_named_at_once() {
    let block = json!({
        "connector": "http",
        "path": ["a_{date:%Q}.csv"],
        "key": ["id"],
        "change": "full",
        "deletes": "maybe",
        "time_zone": "Berlin",
        "settle_seconds": "soon",
        "format": {"type": "excel", "delimter": ";", "delimiter": "\"", "quote": "''\"", "header": 3, "records": "a.b", "columns": ["x", "X"]},
    });
    let problems = FileTable::from_json(&Value::Null, &block).unwrap_err();
    let mut paths: Vec<&str> = problems.iter().map(|problem| problem.path.as_str()).collect();
    paths.sort_unstable();
    assert_eq!(
        paths,
        [
            "connector",
            "deletes",
            "format.columns",
            "format.delimiter",
            "format.delimter",
            "format.header",
            "format.quote",
            "format.records",
            "format.type",
            "key",
            "keys",
            "path",
            "settle_seconds",
            "time_zone",
        ]
    );
    let unknown = problems.iter().find(|problem| problem.path == "format.delimter").unwrap();
    assert_eq!(unknown.help.as_deref(), Some("did you mean `delimiter`?"));
    let missing = FileTable::from_json(&Value::Null, &json!({})).unwrap_err();
    assert_eq!(missing[0].path, "path");
}
