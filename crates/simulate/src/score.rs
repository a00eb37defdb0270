//! What a warehouse found, against what was damaged: per kind of dirt, injected, caught, missed and wrongly accused.

use crate::kind::{DIRT_KINDS, DirtKind};
use crate::truth::{DirtyRow, Truth};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// A row (or, for a kind that concerns files, a file) that a rule named.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Finding {
    /// Kind of the rule; compared with the names of the kinds of dirt.
    pub kind: String,
    /// Name of the entity.
    pub entity: String,
    /// Path below the landing folder, as a loader records it.
    pub file: String,
    /// Position in the file, as a loader records it.
    pub line: u64,
}

/// A place in an extract.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Place {
    /// Name of the entity.
    pub entity: String,
    /// Path below the landing folder.
    pub file: String,
    /// Position in the file.
    pub line: u64,
}

/// How well one kind was found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KindScore {
    /// The kind: of the dirt, or of a rule for which there is no dirt.
    pub kind: String,
    /// Damages that show in the data. A row that full extracts brought again unchanged is one damage.
    pub injected: u64,
    /// Of those, found under a rule of the kind.
    pub caught: u64,
    /// Of those, not found.
    pub missed: u64,
    /// Damages that do not show; neither missed nor wrongly accused.
    pub undecidable: u64,
    /// Rows found under this kind that are damaged in another one.
    pub other_kind: u64,
    /// Clean rows found under this kind.
    pub wrongly_accused: u64,
    /// The first places of missed damages.
    pub missed_places: Vec<Place>,
    /// The first clean places that were accused.
    pub accused_places: Vec<Place>,
}

impl KindScore {
    /// Caught of injected; none where nothing was injected.
    pub fn recall(&self) -> Option<f64> {
        (self.injected > 0).then(|| self.caught as f64 / self.injected as f64)
    }
}

/// So many places are named per kind.
const PLACES: usize = 10;

/// Per kind that was injected or found, in the order of the kinds, then by name.
pub fn score(truth: &Truth, findings: &[Finding]) -> Vec<KindScore> {
    let found = found(findings);
    let known = known(truth);
    let names: BTreeSet<&str> = findings.iter().map(|finding| finding.kind.as_str()).collect();
    let others = names.iter().copied().filter(|name| DirtKind::from_name(name).is_none());
    let mut scores: Vec<KindScore> = Vec::new();
    for name in DIRT_KINDS.iter().map(|kind| kind.name()).chain(others) {
        let mut score = KindScore { kind: name.to_owned(), ..KindScore::default() };
        if let Some(kind) = DirtKind::from_name(name) {
            count_injected(&mut score, kind, truth, &found);
        }
        let accused = found.get(name).into_iter().flatten();
        let mut clean: Vec<&(&str, &str, u64)> = Vec::new();
        for place in accused {
            match known.get(place) {
                Some(kinds) if kinds.contains(name) => {}
                Some(_) => score.other_kind += 1,
                None => clean.push(place),
            }
        }
        clean.sort_unstable();
        score.wrongly_accused = clean.len() as u64;
        score.accused_places = clean.iter().take(PLACES).map(|place| to_place(place)).collect();
        if score.injected + score.undecidable > 0 || names.contains(name) {
            scores.push(score);
        }
    }
    scores
}

type At<'a> = (&'a str, &'a str, u64);

/// Per kind the places found, each once. Where a file as a whole is meant, its line is 0.
fn found(findings: &[Finding]) -> HashMap<&str, HashSet<At<'_>>> {
    let mut found: HashMap<&str, HashSet<At<'_>>> = HashMap::new();
    for finding in findings {
        let is_of_file = DirtKind::from_name(&finding.kind).is_some_and(DirtKind::is_of_file);
        let line = if is_of_file { 0 } else { finding.line };
        found.entry(&finding.kind).or_default().insert((&finding.entity, &finding.file, line));
    }
    found
}

/// The places a rule may name, with the kinds under which that is right. A kind of files covers the file only.
fn known(truth: &Truth) -> HashMap<At<'_>, BTreeSet<&'static str>> {
    let mut known: HashMap<At<'_>, BTreeSet<&'static str>> = HashMap::new();
    for row in &truth.dirty_rows {
        for line in lines(row) {
            known.entry((&row.entity, &row.file, line)).or_default().insert(row.kind.name());
        }
    }
    for twin in &truth.known_twins {
        known.entry((&twin.entity, &twin.file, twin.line)).or_default().insert(twin.kind.name());
    }
    known
}

/// The lines at which a rule may name a damage.
fn lines(row: &DirtyRow) -> impl Iterator<Item = u64> {
    let line = if row.kind.is_of_file() { 0 } else { row.line };
    std::iter::once(line).chain(row.pair_line)
}

fn count_injected(score: &mut KindScore, kind: DirtKind, truth: &Truth, found: &HashMap<&str, HashSet<At<'_>>>) {
    let found = found.get(kind.name());
    // Damage by its number: where it first stands, whether it shows, whether it was found.
    let mut defects: BTreeMap<u64, (&DirtyRow, bool)> = BTreeMap::new();
    for row in truth.dirty_rows.iter().filter(|row| row.kind == kind) {
        let is_found = found.is_some_and(|found| {
            lines(row).any(|line| found.contains(&(row.entity.as_str(), row.file.as_str(), line)))
        });
        let defect = defects.entry(row.defect).or_insert((row, false));
        defect.1 |= is_found;
    }
    for (row, is_found) in defects.into_values() {
        match (row.is_decidable, is_found) {
            (false, _) => score.undecidable += 1,
            (true, true) => score.caught += 1,
            (true, false) => {
                score.missed += 1;
                if score.missed_places.len() < PLACES {
                    score.missed_places.push(Place {
                        entity: row.entity.clone(),
                        file: row.file.clone(),
                        line: row.line,
                    });
                }
            }
        }
    }
    score.injected = score.caught + score.missed;
}

fn to_place((entity, file, line): &At<'_>) -> Place {
    Place { entity: (*entity).to_owned(), file: (*file).to_owned(), line: *line }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::truth::{Kpis, Totals, TwinRow};

    fn row(kind: DirtKind, line: u64, defect: u64) -> DirtyRow {
        DirtyRow {
            entity: "adt".to_owned(),
            key: format!("T{line}"),
            kind,
            file: "adt/adt_2026-03-02.ndjson".to_owned(),
            line,
            column: String::new(),
            original: String::new(),
            damaged: String::new(),
            is_decidable: true,
            defect,
            pair_line: None,
            reason: String::new(),
        }
    }

    fn finding(kind: &str, line: u64) -> Finding {
        let file = "adt/adt_2026-03-02.ndjson".to_owned();
        Finding { kind: kind.to_owned(), entity: "adt".to_owned(), file, line }
    }

    fn truth(dirty_rows: Vec<DirtyRow>) -> Truth {
        let twin = TwinRow {
            entity: "adt".to_owned(),
            key: "T90".to_owned(),
            kind: DirtKind::DuplicatePatient,
            file: "adt/adt_2026-03-02.ndjson".to_owned(),
            line: 90,
        };
        let kpis = Kpis {
            definition: String::new(),
            totals: Totals::default(),
            expected: Totals::default(),
            hospital_days: Vec::new(),
            department_days: Vec::new(),
        };
        Truth { dirty_rows, known_twins: vec![twin], kpis }
    }

    /// injected, caught, missed, undecidable, other kind, wrongly accused.
    fn check(dirty: Vec<DirtyRow>, findings: &[Finding], expected: &[(&str, [u64; 6])]) {
        let scores = score(&truth(dirty), findings);
        let got: Vec<(&str, [u64; 6])> = scores
            .iter()
            .map(|score| {
                let counts = [score.injected, score.caught, score.missed, score.undecidable];
                let [injected, caught, missed, undecidable] = counts;
                (score.kind.as_str(), [injected, caught, missed, undecidable, score.other_kind, score.wrongly_accused])
            })
            .collect();
        assert_eq!(got, expected);
    }

    #[test]
    fn rows_are_caught_missed_and_wrongly_accused() {
        let kind = DirtKind::FutureTimestamp;
        check(
            vec![row(kind, 3, 1), row(kind, 4, 2), row(DirtKind::TruncatedLine, 5, 3)],
            &[finding("future_timestamp", 3), finding("future_timestamp", 5), finding("future_timestamp", 6)],
            &[("future_timestamp", [2, 1, 1, 0, 1, 1]), ("truncated_line", [1, 0, 1, 0, 0, 0])],
        );
    }

    #[test]
    fn a_row_sent_again_is_one_damage_and_may_be_found_at_any_of_its_lines() {
        let kind = DirtKind::UnknownDepartment;
        check(
            vec![row(kind, 3, 1), row(kind, 4, 1)],
            &[finding("unknown_department", 4), finding("unknown_department", 4)],
            &[("unknown_department", [1, 1, 0, 0, 0, 0])],
        );
    }

    #[test]
    fn either_row_of_a_pair_may_be_named() {
        let pair = DirtyRow { pair_line: Some(7), ..row(DirtKind::RepeatedLine, 8, 1) };
        check(vec![pair], &[finding("repeated_line", 7)], &[("repeated_line", [1, 1, 0, 0, 0, 0])]);
    }

    #[test]
    fn what_does_not_show_is_neither_missed_nor_wrong() {
        let silent = DirtyRow { is_decidable: false, ..row(DirtKind::RepeatedLine, 8, 1) };
        check(vec![silent.clone()], &[], &[("repeated_line", [0, 0, 0, 1, 0, 0])]);
        check(vec![silent], &[finding("repeated_line", 8)], &[("repeated_line", [0, 0, 0, 1, 0, 0])]);
    }

    #[test]
    fn a_drifted_file_is_found_at_any_line() {
        check(
            vec![row(DirtKind::ColumnAdded, 1, 1)],
            &[finding("column_added", 0)],
            &[("column_added", [1, 1, 0, 0, 0, 0])],
        );
    }

    #[test]
    fn rules_without_dirt_accuse_wrongly_and_known_twins_are_right() {
        check(
            Vec::new(),
            &[finding("impossible_bed", 2), finding("duplicate_patient", 90), finding("duplicate_patient", 91)],
            &[("duplicate_patient", [0, 0, 0, 0, 0, 1]), ("impossible_bed", [0, 0, 0, 0, 0, 1])],
        );
    }
}
