//! Trials: faults that users found, each with a letter and a number, and each with a test that is named by them.
//!
//! `a07_…` is the name of a test of A7: a function, a file of `.slt`, or a word in a comment of such a file (`# 01 d02 …`).

use std::{collections::BTreeSet, path::Path};

use crate::{
    process::{TaskResult, root},
    source,
};

/// The letters, and how many faults each has.
const LETTERS: [(char, u32); 5] = [('A', 20), ('B', 23), ('C', 10), ('D', 13), ('E', 14)];

/// Those that are not mended yet, or have no test of their name yet, a letter a line.
const OPEN: [&str; 0] = [];

/// Prints which trials have no test; gives back a sentence for those of them that are not open.
pub(crate) fn breaches() -> TaskResult<Vec<String>> {
    let tested = tested(&root().join("crates"))?;
    let untested: Vec<String> = all().filter(|trial| !tested.contains(trial)).collect();
    let (open, missing): (Vec<String>, Vec<String>) =
        untested.into_iter().partition(|trial| open_trials().any(|open| open == trial));
    let mended: Vec<&str> = open_trials().filter(|trial| tested.contains(*trial)).collect();
    println!("trials: {} of {} have a test; open: {}", tested.len(), all().count(), open.join(" "));
    if !mended.is_empty() {
        println!("trials: {} have one by now; take them off OPEN in xtask/src/trials.rs", mended.join(" "));
    }
    Ok(missing.iter().map(|trial| format!("no test is named by trial {trial}: `fn {}…`", prefix(trial))).collect())
}

/// Every trial, as `A1`.
fn all() -> impl Iterator<Item = String> {
    LETTERS.into_iter().flat_map(|(letter, last)| (1..=last).map(move |number| format!("{letter}{number}")))
}

fn open_trials() -> impl Iterator<Item = &'static str> {
    OPEN.into_iter().flat_map(str::split_whitespace)
}

/// How the name of a trial's test begins: `a01_`.
fn prefix(trial: &str) -> String {
    let (letter, number) = trial.split_at(1);
    format!("{}{number:0>2}_", letter.to_lowercase())
}

/// The trials that have a test in the files of a folder.
fn tested(folder: &Path) -> TaskResult<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    for path in source::files(folder)? {
        if source::ends_in(&path, "rs") {
            found.extend(functions(&source::text(&path)?).filter_map(named));
        } else if source::ends_in(&path, "slt") {
            found.extend(path.file_stem().and_then(|stem| stem.to_str()).and_then(named));
            found.extend(words_of_comments(&source::text(&path)?).filter_map(named));
        }
    }
    Ok(found)
}

/// The names of functions, as lines of Rust begin.
fn functions(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| line.trim_start().trim_start_matches("async ").strip_prefix("fn "))
}

fn words_of_comments(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .filter_map(|line| line.strip_prefix('#'))
        .flat_map(|comment| comment.split(|letter: char| letter != '_' && !letter.is_ascii_alphanumeric()))
}

/// The trial by which something is named: `a07_bodies…` and `a07` are A7.
fn named(name: &str) -> Option<String> {
    let head = name.split_once('_').map_or(name, |(head, _)| head);
    let letter = head.chars().next()?.to_ascii_uppercase();
    let digits = head.get(1..).filter(|digits| digits.len() == 2)?;
    let number: u32 = digits.parse().ok()?;
    let is_one = LETTERS.iter().any(|(known, last)| *known == letter && (1..=*last).contains(&number));
    (is_one && name.starts_with(|first: char| first.is_ascii_lowercase())).then(|| format!("{letter}{number}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_their_trial() {
        for (name, trial) in [
            ("a07_bodies_that_never_end()", Some("A7")),
            ("e14_a_project_begins", Some("E14")),
            ("d02", Some("D2")),
            ("a21_nothing", None),
            ("a7_bodies", None),
            ("A07_bodies", None),
            ("f01_other", None),
            ("area_of_a_circle", None),
            ("é1", None),
            ("", None),
        ] {
            assert_eq!(named(name).as_deref(), trial, "{name}");
        }
        assert_eq!((prefix("A1"), prefix("E14")), ("a01_".to_owned(), "e14_".to_owned()));
    }

    #[test]
    fn functions_and_comments_name_trials() {
        let rust = "#[test]\nfn a01_one() {}\n    async fn b02_two() {\n// fn c03_three\nlet x = d04_four();\n";
        assert_eq!(functions(rust).filter_map(named).collect::<Vec<_>>(), ["A1", "B2"]);
        let slt = "# 01 d02 A bed.\nselect 'd03'\n#d05_pairs: each counts\n";
        assert_eq!(words_of_comments(slt).filter_map(named).collect::<Vec<_>>(), ["D2", "D5"]);
    }

    #[test]
    fn what_is_open_is_a_trial_and_stands_there_once() {
        let open: BTreeSet<String> = open_trials().map(str::to_owned).collect();
        assert_eq!(open.len(), open_trials().count());
        assert!(open.is_subset(&all().collect()), "{open:?}");
    }
}
