//! What is wrong in a project or a source, where, and what to do: validators return every problem at once.

use std::{fmt, path::PathBuf};

use crate::{ErrorKind, HasErrorKind};

/// How bad a diagnostic is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Work goes on.
    Warning,
    /// Work stops.
    Error,
}

/// A place in a project's file. Lines and columns count from 1, columns in characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Location {
    /// Path relative to the project folder.
    pub file: PathBuf,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file.display(), self.line, self.column)
    }
}

/// One problem: a stable code, what went wrong, where, and what to do next.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// Stable, for search and for suppressing: `WL-P012`.
    pub code: String,
    /// What went wrong, in one sentence. Never holds a patient's values.
    pub message: String,
    /// Where, if it has a place.
    pub location: Option<Location>,
    /// What to do next.
    pub help: Option<String>,
    /// The macro calls that led here, innermost first.
    pub trace: Vec<Location>,
}

impl Diagnostic {
    /// An error without a place yet.
    pub fn error(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            code: code.into(),
            message: message.into(),
            location: None,
            help: None,
            trace: Vec::new(),
        }
    }

    /// A warning without a place yet.
    pub fn warning(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, message) }
    }

    /// Sets the place.
    pub fn at(mut self, file: impl Into<PathBuf>, line: usize, column: usize) -> Self {
        self.location = Some(Location { file: file.into(), line, column });
        self
    }

    /// Sets what to do next.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)?;
        if let Some(location) = &self.location {
            write!(f, "\n  --> {location}")?;
        }
        for frame in &self.trace {
            write!(f, "\n  in  {frame}")?;
        }
        if let Some(help) = &self.help {
            write!(f, "\n  help: {help}")?;
        }
        Ok(())
    }
}

/// Every problem found, in file order. As an error it holds at least one of severity error.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diagnostics(pub Vec<Diagnostic>);

impl Diagnostics {
    /// Adds a problem.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.0.push(diagnostic);
    }

    /// Whether any problem stops the work.
    pub fn has_errors(&self) -> bool {
        self.0.iter().any(|d| d.severity == Severity::Error)
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, diagnostic) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("\n\n")?;
            }
            write!(f, "{diagnostic}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}

impl HasErrorKind for Diagnostics {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Invalid
    }
}

impl From<Diagnostic> for Diagnostics {
    fn from(diagnostic: Diagnostic) -> Self {
        Self(vec![diagnostic])
    }
}

/// A slip of the keyboard leaves two letters of three as they were.
const LETTERS_PER_SLIP: usize = 3;

/// The candidate nearest to `name`, if one is near enough to be a slip of the keyboard: at most one letter of three is missing,
/// added, another or changed places with its neighbour. Upper and lower case are no difference, and a path that both begin
/// with (`gold.`) brings them no nearer.
pub fn did_you_mean<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .filter(|candidate| *candidate != name)
        .filter_map(|candidate| Some((distance(name, candidate)?, candidate)))
        .min_by(|((slips, likeness), _), ((other_slips, other_likeness), _)| {
            slips.cmp(other_slips).then(other_likeness.total_cmp(likeness))
        })
        .map(|(_, candidate)| candidate)
}

/// How many slips lie between two names, and how alike they are otherwise; none if they are too many.
fn distance(name: &str, candidate: &str) -> Option<(usize, f64)> {
    let (name, candidate) = (name.to_lowercase(), candidate.to_lowercase());
    let (name, candidate) = match (name.rsplit_once('.'), candidate.rsplit_once('.')) {
        (Some((path, name)), Some((other, candidate))) if path == other => (name, candidate),
        _ => (name.as_str(), candidate.as_str()),
    };
    let slips = strsim::osa_distance(name, candidate);
    let letters = name.chars().count().max(candidate.chars().count());
    (slips * LETTERS_PER_SLIP <= letters).then(|| (slips, strsim::jaro_winkler(name, candidate)))
}

#[cfg(test)]
mod tests {
    use super::did_you_mean;

    #[test]
    fn e12_only_slips_of_the_keyboard_are_suggested() {
        for (name, candidates, expected) in [
            ("deps", &["epochs", "debug", "seed", "test"][..], None),
            ("docs", &["demo", "epochs", "compile"], None),
            ("bild", &["build", "test"], Some("build")),
            ("tset", &["seed", "test"], Some("test")),
            ("bedz", &["beds", "bed_days"], Some("beds")),
            ("thread", &["threads", "schema"], Some("threads")),
            ("expectation", &["expectations", "repairs"], Some("expectations")),
            ("Patient_ID", &["patient_key", "patient_id"], Some("patient_id")),
            ("main.bedz", &["main.beds", "main.bedside"], Some("main.beds")),
            ("warehouse.ab", &["warehouse.cd"], None),
            ("a", &["b"], None),
            ("id", &["id"], None),
            ("", &["a"], None),
        ] {
            assert_eq!(did_you_mean(name, candidates.iter().copied()), expected, "{name}");
        }
    }
}
