//! Which names are one column, and how many columns a table may have.
//!
//! Delta does not tell `ID` from `id`: a schema that holds both is refused by all who write or read the table. So names that fold to
//! the same text are one column here, and the spelling that comes first stays. Whoever makes columns out of what a source sends goes by this
//! module: readers, loaders of files, deliveries and topics, and the tables that are made before anything has come.

use std::collections::HashMap;

/// A table has at most so many columns of its own. Each is a field in every schema that the table's log holds, a chunk in every data file
/// and an array in every batch: with thousands a table can be read and written, with tens of thousands nobody can use it.
pub const MOST_COLUMNS: usize = 4096;
/// A file or delivery brings a table that is there at most so many columns more. Beyond that its names are values, such as the ids of
/// patients, and no table gets rid of a column again.
pub const MOST_NEW_COLUMNS: usize = 512;
/// The longest name of a column, in bytes.
pub const LONGEST_NAME_BYTES: usize = 1024;

/// What all spellings of a column have in common, by the rule of Delta's own library (Unicode's small letters).
pub fn folded(name: &str) -> String {
    name.to_lowercase()
}

/// Whether both are names of one column.
pub fn is_same_column(one: &str, other: &str) -> bool {
    one == other || folded(one) == folded(other)
}

/// Whether a column may be given this name: it is not blank, not too long, and holds no control character.
pub fn is_column_name(name: &str) -> bool {
    !name.trim().is_empty() && name.len() <= LONGEST_NAME_BYTES && !name.contains(char::is_control)
}

/// Columns in the order of their table, each once, found by any spelling.
#[derive(Clone, Debug, Default)]
pub struct ColumnList {
    names: Vec<String>,
    /// By the folded name.
    places: HashMap<String, usize>,
}

impl ColumnList {
    /// The place of a column.
    pub fn place(&self, name: &str) -> Option<usize> {
        self.places.get(&folded(name)).copied()
    }

    /// How the column is written here.
    pub fn spelling(&self, name: &str) -> Option<&str> {
        self.place(name).map(|place| self.names[place].as_str())
    }

    /// Whether the column is among them.
    pub fn contains(&self, name: &str) -> bool {
        self.place(name).is_some()
    }

    /// Adds a column behind the others, unless it is among them. Its place.
    pub fn add(&mut self, name: &str) -> usize {
        let next = self.names.len();
        let place = *self.places.entry(folded(name)).or_insert(next);
        if place == next {
            self.names.push(name.to_owned());
        }
        place
    }

    /// The names in order.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }
}

impl<S: AsRef<str>> FromIterator<S> for ColumnList {
    fn from_iter<I: IntoIterator<Item = S>>(names: I) -> Self {
        let mut list = Self::default();
        for name in names {
            list.add(name.as_ref());
        }
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_that_delta_does_not_tell_apart_are_one_column() {
        for (one, other, is_same) in [
            ("id", "ID", true),
            ("Größe", "GRÖßE", true),
            ("ΜΈΤΡΗΣΗ_A", "μέτρηση_a", true),
            ("straße", "STRASSE", false),
            ("\u{212A}g", "kg", true),
            ("a b", "ab", false),
            ("", "", true),
        ] {
            assert_eq!(is_same_column(one, other), is_same, "{one} {other}");
        }
    }

    #[test]
    fn the_first_spelling_stays() {
        let mut list: ColumnList = ["id", "Ward", "ID"].into_iter().collect();
        assert_eq!(list.names(), ["id", "Ward"]);
        assert_eq!((list.add("WARD"), list.add("bed"), list.add("Bed")), (1, 2, 2));
        assert_eq!((list.spelling("wARD"), list.place("beds"), list.len()), (Some("Ward"), None, 3));
    }

    #[test]
    fn not_every_text_is_a_name() {
        let long = "n".repeat(LONGEST_NAME_BYTES);
        let longer = format!("{long}n");
        for (name, is_name) in [
            ("id", true),
            ("Patient Name (legal)", true),
            (long.as_str(), true),
            (longer.as_str(), false),
            ("a\nb", false),
            ("a\u{85}", false),
            (" ", false),
            ("", false),
        ] {
            assert_eq!(is_column_name(name), is_name, "{name:?}");
        }
    }
}
