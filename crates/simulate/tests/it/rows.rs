//! Every row of every file as a loader sees it: file, position, cells by the names of the file's own header.

use crate::files::files;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use wardlake_simulate::Entity;

/// One line of an extract.
pub(crate) struct FileRow {
    pub file: String,
    /// Date in the file's name.
    pub date: String,
    pub line: u64,
    pub text: String,
    /// Empty for a line that has too few fields or is no JSON.
    pub cells: BTreeMap<String, String>,
}

impl FileRow {
    pub(crate) fn get(&self, column: &str) -> &str {
        self.cells.get(column).map_or("", String::as_str)
    }

    /// Filled times, by column.
    pub(crate) fn times(&self) -> impl Iterator<Item = (&str, &str)> {
        let times = self.cells.iter().filter(|(name, value)| name.ends_with("_at") && !value.is_empty());
        times.map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

pub(crate) fn delimiter(entity: Entity) -> char {
    match entity {
        Entity::Patients | Entity::Encounters | Entity::Transfers => '|',
        Entity::Appointments | Entity::Rooms | Entity::Beds => ';',
        Entity::Billing => '^',
        Entity::Insurance => '~',
        Entity::Employees | Entity::Dispensed => '\t',
        _ => ',',
    }
}

/// A file's name below the landing folder, its header (none in JSON) and its rows, for each day.
pub(crate) fn days(root: &Path, entity: Entity) -> Vec<(String, Vec<String>, Vec<FileRow>)> {
    files(root, entity).iter().map(|path| day(root, entity, path)).collect()
}

fn day(root: &Path, entity: Entity, path: &Path) -> (String, Vec<String>, Vec<FileRow>) {
    let bytes = fs::read(path).expect("a file");
    let text = match entity {
        Entity::Patients => bytes.iter().map(|byte| char::from(*byte)).collect(),
        _ => String::from_utf8(bytes).expect("UTF-8"),
    };
    let file = path.strip_prefix(root).expect("below").to_string_lossy().into_owned();
    let date = file.rsplit_once('_').expect("a date").1[..10].to_owned();
    let is_csv = entity.extension() == "csv";
    let mut lines = text.trim_start_matches('\u{feff}').lines().zip(1..);
    let header: Vec<String> = if is_csv {
        lines.next().expect("a header").0.split(delimiter(entity)).map(str::to_owned).collect()
    } else {
        Vec::new()
    };
    let rows = lines.filter(|(line, _)| is_csv || line.contains('{')).map(|(line, number)| {
        let cells = if is_csv { csv_cells(entity, &header, line) } else { json_cells(line) };
        // A JSON array is counted by records, and its first line is the bracket.
        let number = if entity.extension() == "json" { number - 1 } else { number };
        FileRow { file: file.clone(), date: date.clone(), line: number, text: line.to_owned(), cells }
    });
    let rows = rows.collect();
    (file, header, rows)
}

fn csv_cells(entity: Entity, header: &[String], line: &str) -> BTreeMap<String, String> {
    let cells: Vec<&str> = line.split(delimiter(entity)).collect();
    if cells.len() < header.len() {
        return BTreeMap::new();
    }
    header.iter().cloned().zip(cells.into_iter().map(str::to_owned)).collect()
}

fn json_cells(line: &str) -> BTreeMap<String, String> {
    let Ok(serde_json::Value::Object(object)) = serde_json::from_str(line.trim_start_matches(',')) else {
        return BTreeMap::new();
    };
    let text = |value: serde_json::Value| match value {
        serde_json::Value::Null => String::new(),
        serde_json::Value::String(text) => text,
        other => other.to_string(),
    };
    object.into_iter().map(|(name, value)| (name, text(value))).collect()
}
