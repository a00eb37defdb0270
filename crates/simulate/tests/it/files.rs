//! Reading extracts back: the last state of each key, as a loader would have it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use wardlake_simulate::{Entity, SimulationOptions, Summary, simulate};

pub(crate) type Record = BTreeMap<String, String>;

/// A small network that still fills its beds.
pub(crate) fn small(seed: u64, dirt: f64) -> SimulationOptions {
    SimulationOptions {
        hospitals: 2,
        days: 4,
        patients_per_hospital: 120,
        scale: 0.25,
        seed,
        dirt,
        ..SimulationOptions::default()
    }
}

pub(crate) fn run(options: &SimulationOptions) -> (tempfile::TempDir, Summary) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let summary = simulate(options, folder.path(), &mut |_| {}).expect("a simulation");
    (folder, summary)
}

/// Files of an entity, oldest first.
pub(crate) fn files(root: &Path, entity: Entity) -> Vec<PathBuf> {
    let folder = fs::read_dir(root.join(entity.name())).expect("the entity's folder");
    let mut files: Vec<PathBuf> = folder.map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    files
}

/// Records of one file of a clean simulation, whose fields hold no quotes.
pub(crate) fn records(path: &Path, delimiter: char) -> Vec<Record> {
    let bytes = fs::read(path).expect("a file");
    let text: String =
        String::from_utf8(bytes.clone()).unwrap_or_else(|_| bytes.iter().map(|b| char::from(*b)).collect());
    let mut lines = text.trim_start_matches('\u{feff}').lines();
    let names: Vec<String> = lines.next().expect("a header").split(delimiter).map(str::to_owned).collect();
    lines.map(|line| names.iter().cloned().zip(line.split(delimiter).map(str::to_owned)).collect()).collect()
}

/// The newest record of each key over all files of an entity.
pub(crate) fn newest(root: &Path, entity: Entity, delimiter: char) -> BTreeMap<String, Record> {
    let key = entity.columns()[0];
    let all = files(root, entity).into_iter().flat_map(|path| records(&path, delimiter));
    all.map(|record| (record[key].clone(), record)).collect()
}
