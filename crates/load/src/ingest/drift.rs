//! How the columns of a file differ from those of the files before it, in the table's file order.

use std::collections::BTreeMap;

use wardlake_records::ColumnDrift;

use super::{log::SeenFiles, places::without_place};
use crate::error::LoadError;

/// What the files up to a place had.
pub(crate) struct ColumnsSoFar {
    /// Loaded files that are not passed yet, the next one last: place, columns, what the columns look like.
    ahead: Vec<(usize, Vec<String>, BTreeMap<String, String>)>,
    columns: Option<Vec<String>>,
    types: BTreeMap<String, String>,
}

impl ColumnsSoFar {
    /// Before the first file. `places` gives each file's place.
    pub(crate) fn new(label: &str, seen: &SeenFiles, places: &BTreeMap<String, usize>) -> Result<Self, LoadError> {
        let mut ahead = Vec::with_capacity(seen.0.len());
        for (file, seen) in &seen.0 {
            let place = *places.get(file).ok_or_else(|| without_place(label, file))?;
            ahead.push((place, seen.columns.clone(), seen.column_types.clone()));
        }
        ahead.sort_unstable_by_key(|(place, ..)| std::cmp::Reverse(*place));
        Ok(Self { ahead, columns: None, types: BTreeMap::new() })
    }

    /// Passes the loaded files up to and including `place`.
    pub(crate) fn advance(&mut self, place: usize) {
        while let Some((_, columns, types)) = self.ahead.pop_if(|(next, ..)| *next <= place) {
            self.pass(&columns, &types);
        }
    }

    /// Passes a file: the next one is compared with it.
    pub(crate) fn pass(&mut self, columns: &[String], types: &BTreeMap<String, String>) {
        self.columns = Some(columns.to_vec());
        self.types.extend(types.iter().map(|(column, class)| (column.clone(), class.clone())));
    }

    /// What is different in a file. The keys of a JSON object have no order.
    pub(crate) fn drift(
        &self,
        columns: &[String],
        types: &BTreeMap<String, String>,
        has_order: bool,
    ) -> Vec<ColumnDrift> {
        let mut drift = Vec::new();
        let mut name = |column: &str, change: &str, detail: Option<String>| {
            drift.push(ColumnDrift { column: column.to_owned(), change: change.to_owned(), detail });
        };
        if let Some(before) = &self.columns {
            columns.iter().filter(|column| !before.contains(column)).for_each(|column| name(column, "added", None));
            before.iter().filter(|column| !columns.contains(column)).for_each(|column| name(column, "missing", None));
            let was = before.iter().filter(|column| columns.contains(column));
            let is = columns.iter().filter(|column| before.contains(column));
            let moved = was.zip(is).filter(|(was, is)| has_order && was != is);
            moved.for_each(|(_, is)| name(is, "reordered", None));
        }
        for (column, class) in types {
            if let Some(known) = self.types.get(column).filter(|known| *known != class) {
                name(column, "retyped", Some(format!("{known} → {class}")));
            }
        }
        drift
    }
}

#[cfg(test)]
mod tests {
    use super::{super::log::SeenFile, *};

    #[test]
    fn a_loaded_file_without_a_place_is_not_the_first_one() {
        let file = SeenFile {
            loads: Vec::new(),
            sequence: 1,
            sha256: String::new(),
            size: 0,
            modified_us: 0,
            column_types: BTreeMap::new(),
            columns: Vec::new(),
        };
        let mut seen = SeenFiles::default();
        seen.0.insert("beds.csv".to_owned(), file);
        let places = BTreeMap::from([("beds.csv".to_owned(), 3)]);
        assert!(ColumnsSoFar::new("ward.beds", &seen, &places).is_ok());
        let error = ColumnsSoFar::new("ward.beds", &seen, &BTreeMap::new()).err().unwrap().to_string();
        assert!(error.starts_with("ward.beds: beds.csv has no place"), "{error}");
    }
}
