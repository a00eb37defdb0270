//! `cargo xtask mutants`: ten faults, put into a copy of the tree one after the other. A test that is there for each has to fail.
//!
//! A long recipe, and no part of CI: every mutant is built. That the list still fits the code is a test of this crate.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use crate::{
    process::{TaskError, TaskResult, cargo, output, root},
    source,
};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only the mutants whose name holds this text.
    only: Option<String>,
}

/// One fault.
struct Mutant {
    name: &'static str,
    file: &'static str,
    /// A piece of a line, which is there once.
    old: &'static str,
    new: &'static str,
    package: &'static str,
    /// The name of the test that has to fail.
    test: &'static str,
}

const MUTANTS: [Mutant; 10] = [
    Mutant {
        name: "a frame's checksum is not compared",
        file: "crates/load/src/intake/segment.rs",
        old: "let frame = (checksum(body) == sum).then",
        new: "let frame = (checksum(body) == sum || length > 0).then",
        package: "wardlake-load",
        test: "a05_every_flipped_byte_is_told_and_no_other_frame_is_lost",
    },
    Mutant {
        name: "numbers behind a lost end are given out again",
        file: "crates/load/src/intake/journal.rs",
        old: "next_row = next_row.max(numbers.set_aside_to).max(least_row);",
        new: "next_row = next_row.max(least_row);",
        package: "wardlake-load",
        test: "a05_lost_files_and_a_lost_record_of_numbers_are_told",
    },
    Mutant {
        name: "a key with other content counts as repeated",
        file: "crates/load/src/intake/keys.rs",
        old: "Some(known) if known.content == hash(&[payload]) => {",
        new: "Some(known) if known.content == hash(&[payload]) || known.rows > 0 => {",
        package: "wardlake-load",
        test: "a_key_is_known_by_its_content_until_the_window_is_over",
    },
    Mutant {
        name: "NULL is an empty text to a row's hash",
        file: "crates/core/src/row_hash.rs",
        old: "None => self.buffer.extend_from_slice(&u32::MAX.to_le_bytes()),",
        new: "None => self.buffer.extend_from_slice(&0u32.to_le_bytes()),",
        package: "wardlake-core",
        test: "null_differs_from_empty_and_borders_count",
    },
    Mutant {
        name: "an epoch's checksum is not compared",
        file: "crates/storage/src/epochs/record.rs",
        old: "if !is_as_written(&bytes) {",
        new: "if bytes.is_empty() && !is_as_written(&bytes) {",
        package: "wardlake-storage",
        test: "c08_an_epoch_that_is_passed_over_is_told",
    },
    Mutant {
        name: "a newest epoch that is gone is not missed",
        file: "crates/storage/src/epochs/mod.rs",
        old: "hinted.filter(|number| *number >= next)",
        new: "hinted.filter(|number| *number > next)",
        package: "wardlake-storage",
        test: "c08_an_epoch_that_is_passed_over_is_told",
    },
    Mutant {
        name: "a log without its newest commit is whole",
        file: "crates/storage/src/lake.rs",
        old: ".filter(|newest| *newest < version);",
        new: ".filter(|newest| *newest > version);",
        package: "wardlake-storage",
        test: "a16_the_damaged_file_of_a_log_is_named",
    },
    Mutant {
        name: "files that a set back table lacks stay away",
        file: "crates/load/src/ingest/mod.rs",
        old: "let has_news = is_gone || set_back.is_some() ||",
        new: "let has_news = is_gone ||",
        package: "wardlake",
        test: "a16_commits_that_are_gone_are_told_and_made_again",
    },
    Mutant {
        name: "a version that is given out again stands for the same rows",
        file: "crates/build/src/node.rs",
        old: "if context.set_back.contains_key(name) {",
        new: "if version > 1_000_000 && context.set_back.contains_key(name) {",
        package: "wardlake",
        test: "a16_commits_that_are_gone_are_told_and_made_again",
    },
    Mutant {
        name: "a merge that was put right holds beside its correction",
        file: "hospital/macros/bed_ledger.sql",
        old: "where righted.event_id is null",
        new: "where true",
        package: "wardlake",
        test: "d05_every_trigger_of_the_chapter_comes_to_what_it_says",
    },
];

/// Builds and tries each mutant, and prints what became of it.
pub(crate) fn check(args: &Args) -> TaskResult {
    let copy = env::temp_dir().join("wardlake-mutants");
    copy_tree(&copy)?;
    let is_asked = |mutant: &&Mutant| args.only.as_deref().is_none_or(|only| mutant.name.contains(only));
    let mut wrong = Vec::new();
    for mutant in MUTANTS.iter().filter(is_asked) {
        let verdict = try_mutant(&copy, mutant)?;
        println!("{:<60} {:<58} {verdict}", mutant.name, mutant.test);
        if verdict != CAUGHT {
            wrong.push(format!("{}: {verdict}", mutant.name));
        }
    }
    remove(&copy)?;
    if wrong.is_empty() { Ok(()) } else { Err(TaskError::Found(wrong.join("\n"))) }
}

const CAUGHT: &str = "caught";

/// What becomes of a mutant: its test passes without the fault, and fails with it.
fn try_mutant(copy: &Path, mutant: &Mutant) -> TaskResult<&'static str> {
    let path = copy.join(mutant.file);
    let whole = source::text(&path)?;
    let Some(mutated) = mutated(&whole, mutant) else {
        return Err(TaskError::Found(format!("{} does not hold `{}` once", mutant.file, mutant.old)));
    };
    if test(copy, mutant)? != Some(true) {
        return Ok("its test does not pass without it, or is not there");
    }
    write(&path, &mutated)?;
    let passed = test(copy, mutant);
    write(&path, &whole)?;
    Ok(match passed? {
        Some(false) => CAUGHT,
        Some(true) => "not caught",
        None => "does not build",
    })
}

/// The file with the fault; none if the place is not there, or there several times.
fn mutated(whole: &str, mutant: &Mutant) -> Option<String> {
    (whole.matches(mutant.old).count() == 1).then(|| whole.replace(mutant.old, mutant.new))
}

/// Whether the mutant's test passes; none if it did not run.
fn test(copy: &Path, mutant: &Mutant) -> TaskResult<Option<bool>> {
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    let mut command = cargo();
    command.args(["test", "--locked", "--package", mutant.package, mutant.test]);
    let printed = output(command.current_dir(copy).env("CARGO_TARGET_DIR", target))?;
    let text = String::from_utf8_lossy(&printed.stdout).into_owned();
    let has_run = text.lines().any(|line| line.starts_with("test ") && line.contains(mutant.test));
    Ok(has_run.then(|| printed.status.success()))
}

/// A copy of what the tree holds, without what builds and runs made.
fn copy_tree(copy: &Path) -> TaskResult {
    remove(copy)?;
    let root = root();
    for file in source::files(&root)? {
        let copied = copy.join(source::place(&file, &root));
        let result = copied.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::copy(&file, &copied));
        result.map_err(|error| TaskError::Found(format!("{} cannot be copied: {error}", file.display())))?;
    }
    Ok(())
}

fn remove(copy: &Path) -> TaskResult {
    match fs::remove_dir_all(copy) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(TaskError::Found(format!("{} cannot be removed: {error}", copy.display())))
        }
        _ => Ok(()),
    }
}

fn write(path: &Path, text: &str) -> TaskResult {
    fs::write(path, text).map_err(|error| TaskError::Found(format!("{} cannot be written: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mutant_fits_the_code_and_has_its_test() {
        let tests: String =
            source::files(&root().join("crates")).unwrap().iter().filter_map(|path| source::text(path).ok()).collect();
        for mutant in &MUTANTS {
            let whole = source::text(&root().join(mutant.file)).unwrap();
            let mutated = mutated(&whole, mutant);
            assert!(mutated.is_some_and(|mutated| mutated != whole), "{}: `{}`", mutant.file, mutant.old);
            assert!(tests.contains(&format!("fn {}(", mutant.test)), "{}", mutant.test);
        }
    }
}
