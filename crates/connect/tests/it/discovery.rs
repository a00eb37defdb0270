use std::{fs, path::Path};

use serde_json::{Value, json};
use wardlake_connect::{ConnectError, FileTable, discover};

fn names(base: &Path, block: Value) -> Vec<String> {
    let table = FileTable::from_json(&Value::Null, &block).unwrap();
    discover(&table, base).unwrap().into_iter().map(|file| file.relative).collect()
}

fn touch(base: &Path, name: &str) {
    let path = base.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, "a\n").unwrap();
}

#[test]
fn files_come_in_the_order_of_their_dates() {
    let folder = tempfile::tempdir().unwrap();
    for name in [
        "in/b_20250103.csv",
        "in/a_20250103.csv",
        "in/z_20241231.csv",
        "in/a_latest.csv",
        "in/a_20250104.csv.part",
        "in/.a_20250105.csv",
        "in/_a_20250105.csv",
        "in/_old/a_20250106.csv",
        "in/deep/er/c_20250101.csv",
        "out/a_20250103.csv",
    ] {
        touch(folder.path(), name);
    }
    let by_date = ["in/z_20241231.csv", "in/a_20250103.csv", "in/b_20250103.csv"];
    assert_eq!(names(folder.path(), json!({"path": "in/?_{date:%Y%m%d}.csv"})), by_date);
    let by_name = ["a_20250103.csv", "b_20250103.csv", "z_20241231.csv"];
    assert_eq!(names(folder.path(), json!({"root": "in", "path": "*_{date}.csv", "order_by": "name"})), by_name);
    let all = ["a_latest.csv", "z_20241231.csv", "deep/er/c_20250101.csv", "a_20250103.csv", "b_20250103.csv"];
    let two = json!({"root": "in", "path": ["**/*_{date}.csv", "*.{csv,tsv}"]});
    assert_eq!(names(folder.path(), two), all);
    assert_eq!(names(folder.path(), json!({"path": "in/_old/*.csv"})), ["in/_old/a_20250106.csv"]);
    assert_eq!(names(folder.path(), json!({"path": "nowhere/*.csv"})), [""; 0]);
}

#[test]
fn a_missing_root_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let table = FileTable::from_json(&Value::Null, &json!({"root": "none", "path": "*.csv"})).unwrap();
    assert!(matches!(discover(&table, folder.path()), Err(ConnectError::RootMissing { .. })));
}

#[test]
fn files_wait_for_their_marker_or_their_rest() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a.csv", "a.csv.done", "b.csv"] {
        touch(folder.path(), name);
    }
    assert_eq!(names(folder.path(), json!({"path": "*", "done_suffix": ".done"})), ["a.csv"]);
    assert_eq!(names(folder.path(), json!({"path": "*.csv", "settle_seconds": 3600})), [""; 0]);
    assert_eq!(names(folder.path(), json!({"path": "*.csv"})), ["a.csv", "b.csv"]);
}
