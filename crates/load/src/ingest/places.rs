//! Where in time the states of a table's keys stand: its files in their order, and between them what came by a feed.
//!
//! A file has the instant that its order tells: that of its last change, for a dated one within its day. A row of a feed has the instant at
//! which it was received. A file that is delivered again says what is so now: it stands at its place among the files, and where a feed spoke
//! of a key last, behind that.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use chrono::{NaiveDate, NaiveTime};
use wardlake_connect::{FoundFile, source::OrderBy};

use super::{
    TablePlan,
    change::StoredRow,
    log::{SeenFiles, modified_us},
};
use crate::error::LoadError;

const DAY_US: i64 = 24 * 60 * 60 * 1_000_000;

/// Files have odd places; what came by feeds stands at the even ones between them.
pub(crate) fn is_of_feed(place: usize) -> bool {
    place.is_multiple_of(2)
}

/// Where a row stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RowPlace {
    pub(crate) place: usize,
    /// Where a feed spoke of the row's key last, the row stands behind that.
    pub(crate) is_arriving: bool,
}

/// One load of a path.
struct LoadPlace {
    batch_id: String,
    place: RowPlace,
    /// The path had been loaded before.
    is_repeated: bool,
}

/// The places of all files of a table, loaded and new.
pub(crate) struct Places {
    /// A new file's place, or that of a path's last load.
    files: BTreeMap<String, usize>,
    /// Every load of each path, the first one first.
    loads: BTreeMap<String, Vec<LoadPlace>>,
    /// New files that say what is so now.
    arriving: BTreeSet<String>,
    /// The instants of the files' places, ascending.
    instants: Vec<i64>,
    last_loaded: Option<usize>,
}

impl Places {
    pub(crate) fn new(plan: &TablePlan, seen: &SeenFiles, files: &[FoundFile]) -> Result<Self, LoadError> {
        let found: Vec<(&FoundFile, String)> = files.iter().map(|file| (file, order_key(plan, file))).collect();
        // A path that has one place for all of its loads keeps the instant of the first.
        let mut times: BTreeMap<&str, i64> = BTreeMap::new();
        let instant = |key: &str, modified_us: u64| instant_us(plan.table.order_by, key, modified_us);
        for load in seen.0.values().flat_map(|seen| &seen.loads) {
            times.entry(&load.order_key).or_insert_with(|| instant(&load.order_key, load.modified_us));
        }
        for (file, key) in &found {
            times.entry(key).or_insert_with(|| instant(key, modified_us(file)));
        }
        let own: Vec<i64> = times.values().copied().collect();
        // A file is no younger than those behind it: their order goes before what their times say.
        let mut instants = own.clone();
        for at in (1..instants.len()).rev() {
            instants[at - 1] = instants[at - 1].min(instants[at]);
        }
        let place = |at: usize| RowPlace { place: 2 * at + 1, is_arriving: own[at] > instants[at] };
        let slots: BTreeMap<&str, RowPlace> = times.keys().enumerate().map(|(at, key)| (*key, place(at))).collect();
        let slot = |key: &str, file: &str| slots.get(key).copied().ok_or_else(|| without_place(&plan.label, file));
        let mut places = Self {
            files: BTreeMap::new(),
            loads: BTreeMap::new(),
            arriving: BTreeSet::new(),
            instants,
            last_loaded: None,
        };
        for (file, seen) in &seen.0 {
            let mut last = 0;
            let loads = seen.loads.iter().map(|load| {
                let own = slot(&load.order_key, file)?;
                // A path that came back with an older time is no older for it.
                last = own.place.max(last);
                let place = RowPlace { place: last, ..own };
                Ok::<_, LoadError>(LoadPlace { batch_id: load.batch_id.clone(), place, is_repeated: load.sequence > 1 })
            });
            let loads = loads.collect::<Result<_, LoadError>>()?;
            places.loads.insert(file.clone(), loads);
            places.files.insert(file.clone(), last);
            places.last_loaded = places.last_loaded.max(Some(last));
        }
        for (file, key) in &found {
            let own = slot(key, &file.relative)?;
            if own.is_arriving || places.loads.contains_key(&file.relative) {
                places.arriving.insert(file.relative.clone());
            }
            let place = places.files.entry(file.relative.clone()).or_default();
            *place = own.place.max(*place);
        }
        Ok(places)
    }

    /// The place of each file.
    pub(crate) fn files(&self) -> &BTreeMap<String, usize> {
        &self.files
    }

    /// The place of the last of the loaded files.
    pub(crate) fn last_loaded(&self) -> Option<usize> {
        self.last_loaded
    }

    /// Whether this is one of the loaded files; what else rows name as theirs is a feed.
    pub(crate) fn is_file(&self, file: &str) -> bool {
        self.loads.contains_key(file)
    }

    /// The names of the loaded files.
    pub(crate) fn names(&self) -> HashSet<String> {
        self.loads.keys().cloned().collect()
    }

    /// Of each load of a path, the first one first: its place, and whether it says what is so when it comes. None of a path that was
    /// never loaded.
    pub(crate) fn of_loads(&self, file: &str) -> Option<impl Iterator<Item = (usize, bool)>> {
        let loads = self.loads.get(file)?.iter();
        Some(loads.map(|load| (load.place.place, load.place.is_arriving || load.is_repeated)))
    }

    /// Whether a new file says what is so now, whatever feeds brought before it.
    pub(crate) fn is_arriving(&self, file: &str) -> bool {
        self.arriving.contains(file)
    }

    /// Whether one of the new files is older than something that is known: a loaded file, or what feeds brought up to `fed_until_us`.
    pub(crate) fn has_late(&self, files: &[FoundFile], fed_until_us: Option<i64>) -> bool {
        files.iter().any(|file| {
            let place = self.files.get(&file.relative).copied();
            let instant = place.and_then(|place| self.instants.get(place / 2)).copied();
            place < self.last_loaded || instant < fed_until_us && !self.is_arriving(&file.relative)
        })
    }

    /// Where a row of bronze stands.
    pub(crate) fn of_row(&self, row: &StoredRow<'_>) -> RowPlace {
        // Ids of loads ascend with time. One that did not load this path read it again behind a late file.
        let load = self
            .loads
            .get(row.file)
            .and_then(|loads| loads.iter().rev().find(|load| load.batch_id.as_str() <= row.batch_id).or(loads.first()));
        let Some(load) = load else {
            let before = self.instants.partition_point(|instant| *instant <= row.order.0);
            return RowPlace { place: 2 * before, is_arriving: false };
        };
        let is_repeated = load.is_repeated && load.batch_id == row.batch_id;
        RowPlace { is_arriving: load.place.is_arriving || is_repeated, ..load.place }
    }
}

/// Every file of a load has its place. One that had none would be taken for the oldest.
pub(crate) fn without_place(label: &str, file: &str) -> LoadError {
    LoadError::Broken { table: label.to_owned(), what: format!("{file} has no place among the files") }
}

/// What files of a table are ordered by: the same order in which they are found.
pub(crate) fn order_key(plan: &TablePlan, file: &FoundFile) -> String {
    match plan.table.order_by {
        OrderBy::Date => {
            format!("{}\u{1}{}", file.date.map(|date| date.to_string()).unwrap_or_default(), file.relative)
        }
        OrderBy::Name => file.relative.clone(),
        OrderBy::Modified => format!("{:020}\u{1}{}", file.modified.timestamp_micros(), file.relative),
    }
}

/// When what a file says was so. A dated file is from its day: from when it was written, if that was on this day, and from the day's end, if
/// it was written later.
fn instant_us(order_by: OrderBy, order_key: &str, modified_us: u64) -> i64 {
    let modified_us = i64::try_from(modified_us).unwrap_or(i64::MAX);
    let date = order_key.split_once('\u{1}').and_then(|(date, _)| date.parse::<NaiveDate>().ok());
    match date.filter(|_| order_by == OrderBy::Date) {
        Some(date) => {
            let begin_us = date.and_time(NaiveTime::MIN).and_utc().timestamp_micros();
            modified_us.clamp(begin_us, begin_us + DAY_US)
        }
        None => modified_us,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dated_file_is_from_its_day() {
        let begin = 1_735_776_000_000_000;
        for (modified, expected) in [(0, begin), (begin + 5, begin + 5), (begin + 9 * DAY_US, begin + DAY_US)] {
            let modified_us = u64::try_from(modified).unwrap();
            assert_eq!(instant_us(OrderBy::Date, "2025-01-02\u{1}beds_2025-01-02.csv", modified_us), expected);
        }
        assert_eq!(instant_us(OrderBy::Date, "\u{1}beds.csv", 7), 7);
        assert_eq!(instant_us(OrderBy::Name, "beds_2025-01-02.csv", 7), 7);
    }
}
