//! From the names that a source writes to the names of columns: which spelling a column keeps, which names are told apart by a number, and
//! which a table does not take.

use std::{borrow::Cow, collections::HashSet, path::Path, sync::Arc};

use wardlake_core::{
    columns::{ColumnList, LONGEST_NAME_BYTES, MOST_COLUMNS, MOST_NEW_COLUMNS, folded, is_column_name, is_same_column},
    lineage,
};

use crate::{
    ConnectError,
    source::{RAW, RECORD},
};

/// Names of a header that an error shows, and how much of each.
const SHOWN_NAMES: usize = 40;
const SHOWN_CHARS: usize = 60;

/// Turns the names of a source into names of columns: those the table already has keep the table's spelling (Delta does
/// not tell `ID` from `id`), and no name is that of a lineage column.
#[derive(Clone, Debug)]
pub(crate) struct ColumnNames {
    known: Arc<ColumnList>,
    /// So many columns beside the known ones are taken.
    room: usize,
    /// Whether the table keeps records: their columns are then no others'.
    keeps_raw: bool,
}

impl ColumnNames {
    /// `known`: the columns of the table; without them, what is read makes the table.
    pub(crate) fn new(known: Option<&[String]>) -> Self {
        let room = match known {
            None => MOST_COLUMNS,
            Some(known) => MOST_NEW_COLUMNS.min(MOST_COLUMNS.saturating_sub(known.len())),
        };
        Self { known: Arc::new(known.unwrap_or_default().iter().collect()), room, keeps_raw: false }
    }

    /// For a table that leaves new columns out: they cost it nothing.
    pub(crate) fn left_out(self) -> Self {
        Self { room: MOST_COLUMNS, ..self }
    }

    /// For a table that keeps the records behind its rows, if `keeps_raw`.
    pub(crate) fn keeping_raw(self, keeps_raw: bool) -> Self {
        Self { keeps_raw, ..self }
    }

    fn is_own(&self, name: &str) -> bool {
        let is_raw = || [RAW, RECORD].iter().any(|own| own.eq_ignore_ascii_case(name));
        lineage::is_lineage(name) || self.keeps_raw && is_raw()
    }

    /// So many columns beside the known ones are taken.
    pub(crate) fn room(&self) -> usize {
        self.room
    }

    pub(crate) fn knows(&self, name: &str) -> bool {
        self.known.contains(name)
    }

    pub(crate) fn resolve<'a>(&'a self, name: &'a str) -> Cow<'a, str> {
        let name = match self.is_own(name) {
            true => Cow::Owned(format!("{name}_2")),
            false => Cow::Borrowed(name),
        };
        match self.known.spelling(&name) {
            Some(known) => Cow::Borrowed(known),
            None => name,
        }
    }

    /// Names for the fields of a header: trimmed, an empty one called after its place, a repeated one numbered.
    pub(crate) fn header(&self, fields: &[String]) -> Vec<String> {
        let fields: Vec<Cow<'_, str>> = fields.iter().map(|field| self.readable(field)).collect();
        let mut taken: HashSet<String> = HashSet::new();
        // A name as written comes before a number made up here: `x,x,x_2` is `x, x_3, x_2`.
        let written: HashSet<String> = fields.iter().map(|field| folded(field)).collect();
        fields
            .iter()
            .enumerate()
            .map(|(i, field)| {
                let base =
                    if field.is_empty() { format!("column_{}", i + 1) } else { self.resolve(field).into_owned() };
                let mut name = base.clone();
                let mut number = 1;
                while taken.contains(&folded(&name)) || (number > 1 && written.contains(&folded(&name))) {
                    number += 1;
                    name = format!("{base}_{number}");
                }
                taken.insert(folded(&name));
                name
            })
            .collect()
    }

    /// A field of a header without the blanks around it. A name of several lines, as spreadsheets have them, becomes one line.
    fn readable<'f>(&self, field: &'f str) -> Cow<'f, str> {
        let name = field.trim();
        if self.knows(name) || !name.contains(char::is_control) {
            return Cow::Borrowed(name);
        }
        let plain: String = name.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        Cow::Owned(plain.trim().to_owned())
    }

    /// Refuses the columns of a header that a table cannot or will not get.
    pub(crate) fn check(&self, path: &Path, header: &[String]) -> Result<(), ConnectError> {
        let refused = |message: String| Err(ConnectError::Columns { path: path.to_owned(), message });
        let new = || header.iter().filter(|name| !self.knows(name));
        if new().any(|name| !is_column_name(name)) {
            return refused(format!(
                "a name in its header is longer than {LONGEST_NAME_BYTES} bytes; is its first line one of names?"
            ));
        }
        match new().count() {
            count if count > self.room => refused(format!(
                "it has {count} columns that its table does not have, and {} at most are taken; correct its header, or leave out what is \
                 no column",
                self.room
            )),
            _ => Ok(()),
        }
    }

    /// Whether columns, the new ones among them, go with the known ones as they are: none in another spelling, and not too many.
    pub(crate) fn admits(&self, columns: &[String]) -> bool {
        let mut new = 0;
        columns.iter().all(|name| match self.known.spelling(name) {
            Some(known) => known == name,
            None => {
                new += 1;
                new <= self.room
            }
        })
    }

    /// Takes columns in among the known ones.
    pub(crate) fn admit(&mut self, columns: &[String]) {
        let known = Arc::make_mut(&mut self.known);
        let before = known.len();
        columns.iter().for_each(|name| {
            known.add(name);
        });
        self.room = self.room.saturating_sub(known.len() - before);
    }
}

/// Refuses a header without the columns that identify a row: all rows would pass for one. `has_names`: whether its fields look like names;
/// others are not shown, for they are values.
pub(crate) fn check_keys(path: &Path, keys: &[String], header: &[String], has_names: bool) -> Result<(), ConnectError> {
    let has = |key: &String| header.iter().any(|name| is_same_column(name, key));
    let missing: Vec<String> = keys.iter().filter(|key| !has(key)).map(|key| format!("`{key}`")).collect();
    // Without any column there is no row either.
    if missing.is_empty() || header.is_empty() {
        return Ok(());
    }
    Err(keys_missing(path, &missing.join(" and "), header, has_names))
}

/// Refuses records that name none of the columns that identify a row.
pub(crate) fn check_any_key(
    path: &Path,
    keys: &[String],
    columns: &[String],
    has_names: bool,
) -> Result<(), ConnectError> {
    let is_there = |key: &String| columns.iter().any(|name| is_same_column(name, key));
    if keys.is_empty() || columns.is_empty() || keys.iter().any(is_there) {
        return Ok(());
    }
    let missing: Vec<String> = keys.iter().map(|key| format!("`{key}`")).collect();
    Err(keys_missing(path, &missing.join(" and "), columns, has_names))
}

fn keys_missing(path: &Path, missing: &str, columns: &[String], has_names: bool) -> ConnectError {
    let shown = |name: &String| name.chars().take(SHOWN_CHARS).collect::<String>();
    let are = match has_names {
        true => {
            let names: Vec<String> = columns.iter().take(SHOWN_NAMES).map(shown).collect();
            let more = if columns.len() > SHOWN_NAMES { ", …" } else { "" };
            format!("its columns are {}{more}", names.join(", "))
        }
        false => format!("its first line has {} fields that do not look like names", columns.len()),
    };
    let message = format!("it has no column {missing}, which `keys` of the source table names; {are}");
    ConnectError::Columns { path: path.to_owned(), message }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn header_names_are_whole_and_differ() {
        let known = texts(&["Patient_ID", "_FILE_2", "two\nlines"]);
        for (fields, expected) in [
            (&["a", " b ", ""][..], &["a", "b", "column_3"][..]),
            (&["x", "x", "X"], &["x", "x_2", "X_3"]),
            (&["x", "x", "x_2"], &["x", "x_3", "x_2"]),
            (&["patient_id", "_FILE"], &["Patient_ID", "_FILE_2"]),
            (&["_file", "_Row_Hash"], &["_FILE_2", "_Row_Hash_2"]),
            (&["", "column_1"], &["column_1", "column_1_2"]),
            (&["one\r\nline", "\t", "two\nlines"], &["one  line", "column_2", "two\nlines"]),
        ] {
            assert_eq!(ColumnNames::new(Some(&known)).header(&texts(fields)), expected);
        }
    }

    #[test]
    fn a_table_takes_so_many_new_columns_and_no_more() {
        let header = |count: usize| (0..count).map(|i| format!("c{i}")).collect::<Vec<String>>();
        let check = |known: Option<usize>, new: usize| {
            let known = known.map(|count| (0..count).map(|i| format!("k{i}")).collect::<Vec<String>>());
            ColumnNames::new(known.as_deref()).check(Path::new("f"), &header(new)).is_ok()
        };
        for (known, new, is_taken) in [
            (None, MOST_COLUMNS, true),
            (None, MOST_COLUMNS + 1, false),
            (Some(0), MOST_NEW_COLUMNS, true),
            (Some(0), MOST_NEW_COLUMNS + 1, false),
            (Some(MOST_COLUMNS - 2), 2, true),
            (Some(MOST_COLUMNS - 2), 3, false),
            (Some(MOST_COLUMNS), 0, true),
        ] {
            assert_eq!(check(known, new), is_taken, "{known:?} {new}");
        }
        let long = vec!["n".repeat(LONGEST_NAME_BYTES + 1)];
        assert!(ColumnNames::new(None).check(Path::new("f"), &long).is_err());
        assert!(ColumnNames::new(Some(&long)).check(Path::new("f"), &long).is_ok(), "a table that has it keeps it");
    }

    #[test]
    fn names_admitted_are_known_by_any_spelling() {
        let mut names = ColumnNames::new(Some(&texts(&["id"])));
        assert!(names.admits(&texts(&["id", "New"])) && !names.admits(&texts(&["ID"])));
        names.admit(&texts(&["id", "New"]));
        assert!(!names.admits(&texts(&["NEW"])));
        assert_eq!((names.resolve("nEW").as_ref(), names.room()), ("New", MOST_NEW_COLUMNS - 1));
    }

    #[test]
    fn keys_are_looked_for_in_any_spelling() {
        let header = texts(&["Patient_ID", "ward"]);
        let path = Path::new("in/p.csv");
        assert!(check_keys(path, &texts(&["patient_id"]), &header, true).is_ok());
        assert!(check_keys(path, &texts(&["patient_id"]), &[], true).is_ok(), "an empty file has no header");
        let text = check_keys(path, &texts(&["mrn", "WARD"]), &header, true).unwrap_err().to_string();
        assert!(text.contains("no column `mrn`,") && text.contains("Patient_ID, ward"), "{text}");
        let text = check_keys(path, &texts(&["mrn"]), &texts(&["Smith", "1990"]), false).unwrap_err().to_string();
        assert!(!text.contains("Smith") && text.contains("2 fields"), "{text}");
        assert!(check_any_key(path, &texts(&["mrn", "WARD"]), &header, true).is_ok());
        assert!(check_any_key(path, &texts(&["mrn"]), &header, true).is_err());
    }
}
