//! How much code, tests and documentation there is, and that the last two keep up with the first.
//!
//! Code is the Rust that is built for users. Tests are `#[cfg(test)]`, `tests/`, `testkit`, `.slt` and `hospital/tests`. Documentation is
//! doc comments and Markdown. Blank lines and other comments count as nothing.
//!
//! The bounds are on characters, without indentation: a line of prose is as wide as the page and a line of code a third of that, so that
//! counted by lines prose would be a third of what there is to read, and a lone bracket as much as a row of a table of cases. Lines are
//! printed beside them.

use std::{fmt, ops::AddAssign, path::PathBuf};

use crate::{
    process::{TaskError, TaskResult, root},
    source::{self, TestModules},
};

/// What there must be for each character of code.
struct Bound {
    name: &'static str,
    /// Below it is told.
    wanted: f64,
    /// Below it fails.
    least: f64,
}

/// As long as what is wanted is not reached, what there is must not be lost; then `least` becomes `wanted`.
const TESTS: Bound = Bound { name: "tests ÷ code", wanted: 0.45, least: 0.40 };
const DOCS: Bound = Bound { name: "docs ÷ code", wanted: 0.18, least: 0.18 };

/// The size of a text.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Size {
    lines: usize,
    characters: usize,
}

/// What the tree holds.
#[derive(Debug, Default, PartialEq)]
struct Figures {
    code: Size,
    tests: Size,
    docs: Size,
}

pub(crate) fn check() -> TaskResult {
    let figures = counted()?;
    print!("{figures}");
    let too_few: Vec<String> = [
        TESTS.breach(figures.tests.characters, figures.code.characters),
        DOCS.breach(figures.docs.characters, figures.code.characters),
    ]
    .into_iter()
    .flatten()
    .collect();
    match too_few.is_empty() {
        true => Ok(()),
        false => Err(TaskError::Found(format!("{}; write what is missing beside the code", too_few.join("; ")))),
    }
}

impl Bound {
    /// Prints where a ratio stands; a sentence where it is too small.
    fn breach(&self, part: usize, code: usize) -> Option<String> {
        let ratio = part as f64 / code.max(1) as f64;
        let Self { name, wanted, least } = self;
        if ratio >= *wanted {
            println!("{name} is {ratio:.3}, at least {wanted} is wanted");
        } else if ratio >= *least {
            println!("{name} is {ratio:.3}: BELOW {wanted}, which is wanted; below {least} this fails");
        }
        (ratio < *least).then(|| format!("{name} is {ratio:.3} and must be {least} or more"))
    }
}

/// Counts what this repository holds.
fn counted() -> TaskResult<Figures> {
    let root = root();
    let mut figures = Figures::default();
    let mut rust: Vec<(PathBuf, String)> = Vec::new();
    for path in source::files(&root)? {
        let place = source::place(&path, &root);
        if source::ends_in(&path, "md") {
            figures.docs += size(source::text(&path)?.lines());
        } else if source::ends_in(&path, "slt") || place.starts_with("hospital/tests/") {
            figures.tests += size(source::text(&path)?.lines());
        } else if source::ends_in(&path, "rs") {
            let text = source::text(&path)?;
            rust.push((path, text));
        }
    }
    let modules = TestModules::of(&rust);
    for (path, text) in &rust {
        let place = source::place(path, &root);
        let is_test = place.contains("/tests/") || place.starts_with("crates/testkit/") || modules.hold(path);
        figures.add(text, is_test);
    }
    Ok(figures)
}

impl Figures {
    /// A Rust file; `is_test` is one that is built for tests alone.
    fn add(&mut self, text: &str, is_test: bool) {
        let is_doc = |line: &&str| line.trim_start().starts_with("///") || line.trim_start().starts_with("//!");
        let is_code = |line: &&str| !line.trim_start().starts_with("//");
        let parts = source::parts(text);
        let program = size(parts.program.iter().copied().filter(is_code));
        match is_test {
            true => self.tests += program,
            false => self.code += program,
        }
        self.tests += size(parts.tests.iter().copied().filter(is_code));
        self.docs += size(parts.program.iter().chain(&parts.tests).copied().filter(is_doc));
    }
}

/// The size of these lines without blank ones and indentation.
fn size<'a>(lines: impl Iterator<Item = &'a str>) -> Size {
    let mut size = Size::default();
    for line in lines.map(str::trim).filter(|line| !line.is_empty()) {
        size += Size { lines: 1, characters: line.chars().count() };
    }
    size
}

impl AddAssign for Size {
    fn add_assign(&mut self, other: Self) {
        self.lines += other.lines;
        self.characters += other.characters;
    }
}

/// The table.
impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "                     lines   ÷ code    characters   ÷ code")?;
        for (name, part) in [("code", self.code), ("tests", self.tests), ("documentation", self.docs)] {
            let by_lines = part.lines as f64 / self.code.lines.max(1) as f64;
            let by_characters = part.characters as f64 / self.code.characters.max(1) as f64;
            writeln!(f, "{name:<16}{:>10}{by_lines:>9.3}{:>14}{by_characters:>9.3}", part.lines, part.characters)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_files_lines_are_told_apart() {
        let text = "//! Says what.\n\n/// Adds.\nfn a() {\n    // Why.\n    b();\n}\n\
                    #[cfg(test)]\nmod tests {\n    c();\n}\n";
        let mut figures = Figures::default();
        figures.add(text, false);
        assert_eq!(figures.code, Size { lines: 3, characters: "fn a() {b();}".len() });
        assert_eq!(figures.tests, Size { lines: 4, characters: "#[cfg(test)]mod tests {c();}".len() });
        assert_eq!(figures.docs, Size { lines: 2, characters: "//! Says what./// Adds.".len() });
        let mut figures = Figures::default();
        figures.add(text, true);
        assert_eq!((figures.code.lines, figures.tests.lines, figures.docs.lines), (0, 7, 2));
    }

    #[test]
    fn only_what_is_below_the_least_fails() {
        let bound = Bound { name: "tests ÷ code", wanted: 0.5, least: 0.4 };
        assert_eq!(bound.breach(50, 100), None);
        assert_eq!(bound.breach(40, 100), None);
        assert_eq!(bound.breach(39, 100).as_deref(), Some("tests ÷ code is 0.390 and must be 0.4 or more"));
    }
}
