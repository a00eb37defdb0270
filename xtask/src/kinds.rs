//! Kinds of source: what one reads its settings into is named in its own folder alone, so that a new kind costs a folder and a line in the
//! registry. Everyone else asks a source what it is to be asked. Tests are left out.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    process::{TaskError, TaskResult, root},
    source::{self, TestModules},
};

/// The room of the kinds; each folder in it may be one.
const KINDS: &str = "connect/src";
/// How the settings of a kind are made a source.
const IMPLEMENTED: &str = "impl Source for ";

/// A kind's settings.
#[derive(Debug, PartialEq, Eq)]
struct Settings {
    /// The kind's folder.
    folder: PathBuf,
    name: String,
}

/// Looks for settings that are named outside of their folder; gives back a sentence for each.
pub(crate) fn breaches() -> TaskResult<Vec<String>> {
    let crates = root().join("crates");
    let entries = fs::read_dir(&crates).map_err(|error| TaskError::Found(format!("{}: {error}", crates.display())))?;
    let mut texts = Vec::new();
    for folder in entries.flatten().map(|entry| entry.path().join("src")).filter(|folder| folder.is_dir()) {
        for path in source::files(&folder)?.into_iter().filter(|path| source::ends_in(path, "rs")) {
            let text = source::text(&path)?;
            texts.push((path, text));
        }
    }
    let tests = TestModules::of(&texts);
    texts.retain(|(path, _)| !tests.hold(path));
    texts.sort();
    let kinds = kinds(&crates.join(KINDS), &texts);
    if kinds.is_empty() {
        return Err(TaskError::Found(format!("crates/{KINDS} has no `{IMPLEMENTED}…`; correct xtask/src/kinds.rs")));
    }
    let found = named_elsewhere(&kinds, &texts);
    let names: Vec<&str> = kinds.iter().map(|kind| kind.name.as_str()).collect();
    println!("{} kinds of source, each named in its own folder: {}", kinds.len(), names.join(", "));
    Ok(found
        .into_iter()
        .map(|(path, name)| format!("crates/{} names {name}, a kind of source's own", source::place(path, &crates)))
        .collect())
}

/// The settings of every kind that has a folder in `room`.
fn kinds(room: &Path, texts: &[(PathBuf, String)]) -> Vec<Settings> {
    let mut found = Vec::new();
    for (path, text) in texts {
        let Some(folder) = path.strip_prefix(room).ok().and_then(|place| place.iter().next()) else { continue };
        let folder = room.join(folder);
        let lines = source::parts(text).program.into_iter();
        let types = lines.filter_map(|line| line.strip_prefix(IMPLEMENTED)?.split_whitespace().next());
        found.extend(types.map(|name| Settings { folder: folder.clone(), name: name.to_owned() }));
    }
    found
}

/// Every file that names the settings of a kind that is not its own, and which.
fn named_elsewhere<'t>(kinds: &'t [Settings], texts: &'t [(PathBuf, String)]) -> Vec<(&'t Path, &'t str)> {
    let mut found = Vec::new();
    for (path, text) in texts {
        let lines = source::parts(text).program;
        for kind in kinds.iter().filter(|kind| !path.starts_with(&kind.folder)) {
            if lines.iter().any(|line| names(line, &kind.name)) {
                found.push((path.as_path(), kind.name.as_str()));
            }
        }
    }
    found
}

/// Whether a line, its comment left out, has this name as a word.
fn names(line: &str, name: &str) -> bool {
    let code = line.split_once("//").map_or(line, |(before, _)| before);
    code.split(|letter: char| !letter.is_alphanumeric() && letter != '_').any(|word| word == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_named_in_their_kinds_folder_alone() {
        let text = |path: &str, text: &str| (PathBuf::from(path), text.to_owned());
        let texts = [
            text("crates/connect/src/kafka/mod.rs", "pub use settings::KafkaSettings;\n"),
            text("crates/connect/src/kafka/source.rs", "impl Source for KafkaSettings {\n}\n"),
            text("crates/connect/src/lib.rs", "pub use kafka::{KafkaBatch, KafkaSettings};\n"),
            text("crates/connect/src/registry.rs", "// KafkaSettings\nuse crate::kafka;\n"),
            text("crates/serve/src/topics.rs", "let of: KafkaSettingsOf;\n#[cfg(test)]\nuse a::KafkaSettings;\n"),
            text("crates/serve/src/doors.rs", "fn of(settings: &KafkaSettings) {}\n"),
        ];
        let kinds = kinds(Path::new("crates/connect/src"), &texts);
        let folder = PathBuf::from("crates/connect/src/kafka");
        assert_eq!(kinds, [Settings { folder, name: "KafkaSettings".to_owned() }]);
        let found = named_elsewhere(&kinds, &texts);
        let places: Vec<String> = found.iter().map(|(path, name)| format!("{} {name}", path.display())).collect();
        assert_eq!(places, ["crates/connect/src/lib.rs KafkaSettings", "crates/serve/src/doors.rs KafkaSettings"]);
    }
}
