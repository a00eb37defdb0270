//! Files older than one that was loaded before. History must come out as if they had come in order: a late file is
//! compared with what was known just before its own place, and files behind it are read again, from landing, for the keys
//! it changed, since their rows were left out as "unchanged" against another past.

use std::collections::{HashMap, HashSet};

use super::{
    change::{Offered, RowChange, StoredRow},
    places::is_of_feed,
};

/// All bronze rows of a keyed table by key, in the order of their files' places and then of their arrival.
#[derive(Default)]
pub(crate) struct History {
    rows: HashMap<u128, Vec<Entry>>,
    names: HashMap<u128, Vec<Option<Box<str>>>>,
}

#[derive(Clone, Copy)]
struct Entry {
    place: usize,
    order: (i64, i64),
    /// `None` says the key was deleted.
    hash: Option<u128>,
}

impl History {
    /// `place` is where the row stands among the files of the table.
    pub(crate) fn add(&mut self, row: &StoredRow<'_>, place: usize, name: Vec<Option<Box<str>>>) {
        let hash = (!row.is_delete).then_some(row.hash);
        self.names.entry(row.key).or_insert(name);
        self.push(row.key, Entry { place, order: row.order, hash });
    }

    fn push(&mut self, key: u128, entry: Entry) {
        let rows = self.rows.entry(key).or_default();
        let at = rows.partition_point(|known| (known.place, known.order) <= (entry.place, entry.order));
        rows.insert(at, entry);
    }

    /// What is known of a key up to `place`, earlier loads of the same path included.
    fn up_to(&self, key: u128, place: usize) -> Option<u128> {
        let rows = self.rows.get(&key)?;
        let at = rows.partition_point(|known| known.place <= place);
        rows.get(at.checked_sub(1)?)?.hash
    }

    /// Where a key's row stands that says what is so now, of a file at `place`: behind what a feed said of the key last.
    fn place_of_arriving(&self, key: u128, place: usize) -> usize {
        let last = self.rows.get(&key).and_then(|rows| rows.last()).map(|row| row.place);
        last.filter(|last| is_of_feed(*last)).map_or(place, |last| last.max(place))
    }

    fn has_row_at(&self, key: u128, place: usize) -> bool {
        self.rows.get(&key).is_some_and(|rows| rows.iter().any(|row| row.place == place))
    }
}

/// One file read at its own place in the past.
pub(crate) struct LateFile<'a> {
    history: &'a mut History,
    place: usize,
    received_us: i64,
    /// Rows of this file so far.
    current: HashMap<u128, u128>,
    /// Keys whose past this file (or the late file before it) changed.
    dirty: &'a mut HashSet<u128>,
    mode: Mode,
    rows: i64,
}

/// How a file is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// It is loaded at its place.
    Load,
    /// It is loaded, and what it says is so now: see [`super::places`].
    LoadArriving,
    /// It is behind a late file and read again: only dirty keys count, and only where bronze has no row of it.
    Again,
}

impl<'a> LateFile<'a> {
    pub(crate) fn new(
        history: &'a mut History,
        dirty: &'a mut HashSet<u128>,
        place: usize,
        received_us: i64,
        mode: Mode,
    ) -> Self {
        Self { history, place, received_us, current: HashMap::new(), dirty, mode, rows: 0 }
    }

    fn is_again(&self) -> bool {
        self.mode == Mode::Again
    }

    fn place_of(&self, key: u128) -> usize {
        match self.mode {
            Mode::LoadArriving => self.history.place_of_arriving(key, self.place),
            Mode::Load | Mode::Again => self.place,
        }
    }

    /// What stands behind what feeds brought changes the past of no file that was loaded.
    fn note_changed(&mut self, key: u128, place: usize) {
        if !self.is_again() && place == self.place {
            self.dirty.insert(key);
        }
    }

    /// Takes a row in.
    pub(crate) fn offer(&mut self, key: u128, hash: u128) -> Offered {
        self.rows += 1;
        let has_row = self.history.has_row_at(key, self.place) && !self.current.contains_key(&key);
        if self.is_again() && (has_row || !self.dirty.contains(&key)) {
            self.dirty.remove(&key);
            return Offered::Unchanged;
        }
        let earlier = self.current.insert(key, hash);
        let place = self.place_of(key);
        let change = match earlier.or_else(|| self.history.up_to(key, place)) {
            None => RowChange::Insert,
            Some(last) if last == hash => {
                return if earlier.is_some() { Offered::Repeated } else { Offered::Unchanged };
            }
            Some(_) => RowChange::Update,
        };
        self.history.push(key, Entry { place, order: (self.received_us, self.rows), hash: Some(hash) });
        self.note_changed(key, place);
        Offered::News(change)
    }

    /// Names the keys that were there before this place and are not in `present`: at this place they are gone.
    pub(crate) fn retain(&mut self, present: &HashSet<u128>) -> Vec<(u128, Vec<Option<Box<str>>>)> {
        let candidates: Vec<u128> = match self.is_again() {
            true => self.dirty.iter().copied().collect(),
            false => self.history.rows.keys().copied().collect(),
        };
        let mut gone = Vec::new();
        for key in candidates.into_iter().filter(|key| !present.contains(key)) {
            let place = self.place_of(key);
            let is_settled = self.is_again() && self.history.has_row_at(key, self.place);
            if !is_settled && self.history.up_to(key, place).is_some() {
                self.history.push(key, Entry { place, order: (self.received_us, i64::MAX), hash: None });
                gone.push((key, self.history.names.get(&key).cloned().unwrap_or_default()));
                self.note_changed(key, place);
            }
            if self.is_again() {
                self.dirty.remove(&key);
            }
        }
        gone
    }

    /// After a file behind a late one: the keys it held are settled from its place on.
    pub(crate) fn settle(&mut self) {
        for key in self.current.keys() {
            self.dirty.remove(key);
        }
    }

    /// Remembers a key's values: a deletion names its key.
    pub(crate) fn note_name(&mut self, key: u128, name: impl FnOnce() -> Vec<Option<Box<str>>>) {
        self.history.names.entry(key).or_insert_with(name);
    }
}
