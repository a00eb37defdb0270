//! Who reads everything: the files that read as `Viewer::System`, each with its reasons. Whatever is made for somebody who reads less
//! (a page, a list, an export) reads as that viewer; what stands here has to be made so that nobody else sees what it read.
//!
//! Tests are left out, and `wardlake-access`, which says what the system is.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use crate::{
    process::{TaskResult, root},
    source::{self, TestModules},
};

/// Each file with the variants of `SystemReason` for which it reads.
const SYSTEM: [(&str, &[&str]); 10] = [
    ("crates/build/src/context.rs", &["Build", "Wave"]),
    ("crates/load/src/ingest/log.rs", &["Load"]),
    ("crates/load/src/ingest/reload.rs", &["Load"]),
    ("crates/load/src/ingest/writer.rs", &["Load"]),
    ("crates/load/src/intake/replay.rs", &["Load"]),
    ("crates/load/src/maintain.rs", &["Maintenance"]),
    ("crates/load/src/upkeep.rs", &["Maintenance"]),
    ("crates/serve/src/alerts.rs", &["Alert"]),
    ("crates/trust/src/bounds.rs", &["Bounds"]),
    ("crates/trust/src/quarantine.rs", &["Build"]),
];

/// Where the viewers themselves are.
const OWN: &str = "crates/access/";
const NAMED: &str = "Viewer::System";
/// Ways to name it otherwise, so that its uses would not be found.
const RENAMED: [&str; 3] = ["Viewer::{", "Viewer::*", "Viewer as "];

/// The reasons for which each file reads as the system.
type Uses = BTreeMap<String, BTreeSet<String>>;

/// Looks for files that read as the system; gives back a sentence for each use that is not listed, and each entry without a use.
pub(crate) fn breaches() -> TaskResult<Vec<String>> {
    let root = root();
    let mut texts: Vec<(PathBuf, String)> = Vec::new();
    for path in source::files(&root.join("crates"))?.into_iter().filter(|path| source::ends_in(path, "rs")) {
        let text = source::text(&path)?;
        texts.push((path, text));
    }
    let tests = TestModules::of(&texts);
    let mut found = Uses::new();
    let mut breaches = Vec::new();
    for (path, text) in &texts {
        let place = source::place(path, &root);
        if place.starts_with(OWN) || place.contains("/tests/") || tests.hold(path) {
            continue;
        }
        match uses(&source::parts(text).program) {
            Ok(reasons) if reasons.is_empty() => {}
            Ok(reasons) => {
                found.insert(place, reasons);
            }
            Err(line) => breaches.push(format!(
                "{place} does not say plainly as whom it reads and why, as in `{NAMED}(SystemReason::Build)`: {line}"
            )),
        }
    }
    println!("viewers: {} files read as the system", found.len());
    breaches.extend(unlike(&found, &SYSTEM));
    Ok(breaches)
}

/// The reasons for which these lines read as the system, or the first line that does without one.
fn uses<'a>(lines: &[&'a str]) -> Result<BTreeSet<String>, &'a str> {
    let mut reasons = BTreeSet::new();
    for line in lines.iter().map(|line| line.trim()).filter(|line| !line.starts_with("//")) {
        if RENAMED.iter().any(|renamed| line.contains(renamed)) {
            return Err(line);
        }
        for rest in line.split(NAMED).skip(1) {
            let reason = rest.strip_prefix("(SystemReason::").and_then(|rest| rest.split_once(')'));
            reasons.insert(reason.ok_or(line)?.0.to_owned());
        }
    }
    Ok(reasons)
}

/// What was found and is not listed, and what is listed and was not found.
fn unlike(found: &Uses, listed: &[(&str, &[&str])]) -> Vec<String> {
    let of = |file: &str| listed.iter().find(|(other, _)| *other == file).map_or(&[][..], |(_, reasons)| *reasons);
    let unlisted = found.iter().flat_map(|(file, reasons)| {
        let new = reasons.iter().filter(move |reason| !of(file).contains(&reason.as_str()));
        new.map(move |reason| format!("{file} reads as the system for {reason}, and is not listed for it"))
    });
    let unused = listed.iter().flat_map(|(file, reasons)| {
        let gone = reasons.iter().filter(move |reason| !found.get(*file).is_some_and(|uses| uses.contains(**reason)));
        gone.map(move |reason| format!("{file} is listed as reading as the system for {reason}, and does not"))
    });
    unlisted.chain(unused).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uses_say_their_reason() {
        let reasons = |text: &str| uses(&text.lines().collect::<Vec<_>>()).map_err(str::to_owned);
        let two = "let a = Viewer::System(SystemReason::Build);\n    // Viewer::System is seldom\n\
                   [Viewer::System(SystemReason::Wave), Viewer::System(SystemReason::Build)]\nviewer::of_request()\n";
        assert_eq!(reasons(two), Ok(["Build", "Wave"].map(str::to_owned).into()));
        assert_eq!(reasons("let a = viewer;\nuse wardlake_access::{SystemReason, Viewer};\n"), Ok(BTreeSet::new()));
        for hidden in [
            "let a = Viewer::System(reason);",
            "let make = Viewer::System;",
            "use wardlake_access::Viewer::{self, System};",
            "use wardlake_access::Viewer::*;",
            "use wardlake_access::Viewer as V;",
        ] {
            assert_eq!(reasons(&format!("fn a() {{}}\n  {hidden}\n")), Err(hidden.to_owned()));
        }
    }

    #[test]
    fn what_is_not_listed_and_what_is_listed_in_vain_are_told() {
        let listed: [(&str, &[&str]); 2] = [("a.rs", &["Build", "Wave"]), ("b.rs", &["Load"])];
        let uses = |uses: &[(&str, &[&str])]| -> Uses {
            let owned = |reasons: &[&str]| reasons.iter().map(|reason| (*reason).to_owned()).collect();
            uses.iter().map(|(file, reasons)| ((*file).to_owned(), owned(reasons))).collect()
        };
        assert!(unlike(&uses(&listed), &listed).is_empty());
        let other = uses(&[("a.rs", &["Build", "Test"]), ("c.rs", &["Load"])]);
        let told = unlike(&other, &listed);
        let files_and_reasons = [("a.rs", "Test"), ("c.rs", "Load"), ("a.rs", "Wave"), ("b.rs", "Load")];
        assert_eq!(told.len(), files_and_reasons.len(), "{told:?}");
        for (told, (file, reason)) in told.iter().zip(files_and_reasons) {
            assert!(told.starts_with(file) && told.contains(reason), "{told}");
        }
    }
}
