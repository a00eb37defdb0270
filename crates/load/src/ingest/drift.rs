//! How the columns of a file differ from those of the files before it, in the table's file order.

use std::collections::BTreeMap;

use wardlake_records::ColumnDrift;

use super::log::SeenFiles;

/// What the files up to a place had.
pub(crate) struct ColumnsSoFar {
    /// Loaded files that are not passed yet, the next one last: place, columns, what the columns look like.
    ahead: Vec<(usize, Vec<String>, BTreeMap<String, String>)>,
    columns: Option<Vec<String>>,
    types: BTreeMap<String, String>,
}

impl ColumnsSoFar {
    /// Before the first file. `places` gives each file's place.
    pub(crate) fn new(seen: &SeenFiles, places: &BTreeMap<String, usize>) -> Self {
        let place = |file: &String| places.get(file).copied().unwrap_or_default();
        let mut ahead: Vec<_> =
            seen.0.iter().map(|(file, seen)| (place(file), seen.columns.clone(), seen.column_types.clone())).collect();
        ahead.sort_unstable_by_key(|(place, ..)| std::cmp::Reverse(*place));
        Self { ahead, columns: None, types: BTreeMap::new() }
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
