//! Whatever bytes a file holds, nothing panics and every record is accounted for: as a row, as a rejected record with its
//! bytes, or as a blank line; and neither threads nor blocks change anything. The reader is compared with a second, simple
//! implementation of the documented rules.
//!
//! `tests/corpus/<format>` holds inputs that are hard to read. Each is read as it is, and then inputs are made from them for
//! `WARDLAKE_FUZZ_SECONDS` (default 5) per format, from the seed `WARDLAKE_FUZZ_SEED` (default 1) on. An input that fails is
//! written to the temporary folder; the message tells how to read it again. When its cause is mended, it joins the corpus.

mod answers;
mod case;
mod delimited;
mod expected;
mod messages;
mod mutate;
mod objects;
mod text;

use std::{
    env, fs,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rand::{SeedableRng, rngs::SmallRng};
use serde_json::{Value, json};

use self::case::Case;

/// What the bytes are given as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Csv,
    Ndjson,
    Json,
    Hl7,
}

impl Shape {
    fn name(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Ndjson => "ndjson",
            Self::Json => "json",
            Self::Hl7 => "hl7",
        }
    }

    /// The settings under which every entry of the corpus is read.
    fn settings(self) -> Vec<Value> {
        match self {
            Self::Csv => vec![
                json!({"type": "csv"}),
                json!({"type": "csv", "delimiter": ",", "header": false, "encoding": "utf-8"}),
                json!({"type": "csv", "delimiter": ",", "escape": "\\", "ragged": "reject"}),
                json!({"type": "csv", "delimiter": ",", "comment": "#", "null": ["", "NULL"], "header": "auto"}),
                json!({"type": "csv", "delimiter": "||", "encoding": "windows-1252"}),
                json!({"type": "csv", "quote": "'", "skip_rows": 2}),
                json!({"type": "csv", "quote": "none", "columns": ["a", "b"]}),
                json!({"type": "csv", "delimiter": ",", "escape": "\\", "comment": "#", "quote": "none"}),
                json!({"type": "tsv", "encoding": "utf-16"}),
                json!({}),
            ],
            Self::Ndjson => vec![
                json!({"type": "ndjson"}),
                json!({"type": "ndjson", "encoding": "utf-8", "null": ["NULL", ""]}),
                json!({"type": "ndjson", "encoding": "latin-1"}),
                json!({}),
            ],
            Self::Json => vec![
                json!({"type": "json"}),
                json!({"type": "json", "encoding": "utf-8", "records": "/data"}),
                json!({"type": "json", "records": "/d/items"}),
                json!({"type": "json", "encoding": "windows-1252"}),
                json!({}),
            ],
            Self::Hl7 => vec![
                json!({"type": "hl7"}),
                json!({"type": "hl7", "encoding": "utf-8"}),
                json!({"type": "hl7", "encoding": "windows-1252", "mapping": {"accept": {"types": "ADT"}}}),
                json!({}),
            ],
        }
    }

    /// The corpus, in the order of its names.
    fn corpus(self) -> Vec<(String, Vec<u8>)> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(self.name());
        let mut paths: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        paths.iter().map(|path| (name(path), fs::read(path).unwrap())).collect()
    }
}

/// A number from the environment.
fn setting(name: &str, default: u64) -> u64 {
    env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

/// Checks a case; one that fails is kept, and `origin` and the way to read it again are printed before the panic goes on.
fn check(case: &Case, origin: &str, folder: &Path) {
    let result = catch_unwind(AssertUnwindSafe(|| case.check(&folder.join("input"))));
    let Err(panic) = result else { return };
    let kept = env::temp_dir().join(format!("wardlake-fuzz-{}", origin.replace([' ', '/'], "-")));
    let settings = json!({"format": case.format, "pieces": case.pieces});
    fs::write(&kept, &case.bytes).unwrap();
    fs::write(kept.with_extension("settings"), settings.to_string()).unwrap();
    println!("{origin}: {} bytes, {settings}", case.bytes.len());
    println!("again: WARDLAKE_FUZZ_INPUT={} cargo test -p wardlake-connect -- fuzz::an_input", kept.display());
    resume_unwind(panic);
}

fn replay(shape: Shape) {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in shape.corpus() {
        let size = bytes.len().max(2);
        for (i, format) in shape.settings().into_iter().enumerate() {
            let pieces = vec![(1, 1), (7, 3), (64, 2), (size - 1, 2)];
            let case = Case { bytes: bytes.clone(), format, pieces };
            check(&case, &format!("{} {name} {i}", shape.name()), folder.path());
        }
    }
}

fn fuzz(shape: Shape) {
    let corpus: Vec<Vec<u8>> = shape.corpus().into_iter().map(|(_, bytes)| bytes).collect();
    let folder = tempfile::tempdir().unwrap();
    let end = Instant::now() + Duration::from_secs(setting("WARDLAKE_FUZZ_SECONDS", 5));
    let first = setting("WARDLAKE_FUZZ_SEED", 1);
    let mut seed = first;
    while seed == first || Instant::now() < end {
        let case = mutate::case(&mut SmallRng::seed_from_u64(seed), shape, &corpus);
        check(&case, &format!("{} seed {seed}", shape.name()), folder.path());
        seed += 1;
    }
    println!("{}: {} inputs, seeds {first} to {}", shape.name(), seed - first, seed - 1);
}

#[test]
fn the_corpus_of_csv_is_accounted_for() {
    replay(Shape::Csv);
}

#[test]
fn the_corpus_of_ndjson_is_accounted_for() {
    replay(Shape::Ndjson);
}

#[test]
fn the_corpus_of_json_is_accounted_for() {
    replay(Shape::Json);
}

#[test]
fn the_corpus_of_hl7_is_accounted_for() {
    replay(Shape::Hl7);
}

#[test]
fn any_bytes_given_as_csv_are_accounted_for() {
    fuzz(Shape::Csv);
}

#[test]
fn any_bytes_given_as_ndjson_are_accounted_for() {
    fuzz(Shape::Ndjson);
}

#[test]
fn any_bytes_given_as_json_are_accounted_for() {
    fuzz(Shape::Json);
}

#[test]
fn any_bytes_given_as_hl7_are_accounted_for() {
    fuzz(Shape::Hl7);
}

/// The input that `WARDLAKE_FUZZ_INPUT` names, with the settings beside it; without one, that a failure is kept.
#[test]
fn an_input_that_failed_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let Some(path) = env::var_os("WARDLAKE_FUZZ_INPUT").map(PathBuf::from) else {
        let case = Case { bytes: b"a\n1\n".to_vec(), format: json!({"type": "unknown"}), pieces: Vec::new() };
        let origin = format!("test {}", std::process::id());
        let kept = env::temp_dir().join(format!("wardlake-fuzz-{}", origin.replace(' ', "-")));
        assert!(catch_unwind(AssertUnwindSafe(|| check(&case, &origin, folder.path()))).is_err());
        assert_eq!(fs::read(&kept).unwrap(), case.bytes);
        fs::remove_file(&kept).unwrap();
        fs::remove_file(kept.with_extension("settings")).unwrap();
        return;
    };
    let settings: Value = serde_json::from_slice(&fs::read(path.with_extension("settings")).unwrap()).unwrap();
    let pieces = serde_json::from_value(settings["pieces"].clone()).unwrap();
    Case { bytes: fs::read(&path).unwrap(), format: settings["format"].clone(), pieces }
        .check(&folder.path().join("input"));
}
