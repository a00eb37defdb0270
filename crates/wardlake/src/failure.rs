//! Why a command stopped, for people: message, place, code frame, what to do next; and the exit code.

use std::{path::Path, process::ExitCode};

use miette::{GraphicalReportHandler, LabeledSpan, MietteDiagnostic, NamedSource, Report, Severity as Level};
use wardlake_core::{Diagnostic, Diagnostics, ErrorKind, HasErrorKind, Severity};
use wardlake_engine::EngineError;
use wardlake_runner::RunnerError;
use wardlake_storage::StorageError;

/// A command's failure.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The project has problems.
    #[error(transparent)]
    Project(#[from] Diagnostics),
    /// A run could not do its work.
    #[error(transparent)]
    Run(RunnerError),
    /// A query failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The lake failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The server failed.
    #[error(transparent)]
    Serve(wardlake_serve::ServeError),
    /// The simulator failed.
    #[error(transparent)]
    Simulate(#[from] wardlake_simulate::SimulateError),
    /// A file or folder of the user's.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: String,
        /// The system's reason.
        source: std::io::Error,
    },
    /// What was asked cannot be done.
    #[error("{0}")]
    Usage(String),
    /// Rows could not be written out.
    #[error("cannot write the result: {0}")]
    Output(String),
}

impl From<wardlake_serve::ServeError> for Failure {
    fn from(error: wardlake_serve::ServeError) -> Self {
        match error {
            wardlake_serve::ServeError::Runner(error) => error.into(),
            other => Self::Serve(other),
        }
    }
}

impl From<RunnerError> for Failure {
    fn from(error: RunnerError) -> Self {
        match error {
            RunnerError::Project(diagnostics) => Self::Project(diagnostics),
            other => Self::Run(other),
        }
    }
}

impl Failure {
    pub(crate) fn file(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.display().to_string();
        move |source| Self::File { path, source }
    }

    fn kind(&self) -> ErrorKind {
        match self {
            Self::Project(error) => error.kind(),
            Self::Run(error) => error.kind(),
            Self::Engine(error) => error.kind(),
            Self::Storage(error) => error.kind(),
            Self::Serve(error) => error.kind(),
            Self::Simulate(_) | Self::File { .. } => ErrorKind::Unavailable,
            Self::Usage(_) | Self::Output(_) => ErrorKind::Invalid,
        }
    }

    /// Prints the failure and gives the exit code: 2 for everything a node did not cause.
    pub(crate) fn report(self) -> ExitCode {
        match &self {
            Self::Project(diagnostics) => print_diagnostics(diagnostics, Path::new(".")),
            other => {
                eprintln!("error: {other}");
                if other.kind() == ErrorKind::Internal {
                    eprintln!("This is a fault of Wardlake's own; please report it with the command that led to it.");
                }
            }
        }
        ExitCode::from(2)
    }
}

/// Every problem with its code frame, and a line that counts them.
pub(crate) fn print_diagnostics(diagnostics: &Diagnostics, root: &Path) {
    for diagnostic in &diagnostics.0 {
        eprintln!("{}", render(diagnostic, root));
    }
    let errors = diagnostics.0.iter().filter(|d| d.severity == Severity::Error).count();
    let warnings = diagnostics.0.len() - errors;
    if diagnostics.0.len() > 1 {
        eprintln!("{errors} errors, {warnings} warnings");
    }
}

fn render(diagnostic: &Diagnostic, root: &Path) -> String {
    let mut shown = MietteDiagnostic::new(&diagnostic.message).with_code(&diagnostic.code).with_severity(
        match diagnostic.severity {
            Severity::Warning => Level::Warning,
            Severity::Error => Level::Error,
        },
    );
    let mut help: Vec<String> = diagnostic.help.iter().cloned().collect();
    help.extend(diagnostic.trace.iter().map(|frame| format!("called from {frame}")));
    if !help.is_empty() {
        shown = shown.with_help(help.join("\n"));
    }
    let mut report = None;
    if let Some(place) = &diagnostic.location {
        let text = std::fs::read_to_string(root.join(&place.file)).or_else(|_| std::fs::read_to_string(&place.file));
        match text {
            Ok(text) => {
                let offset = offset_of(&text, place.line, place.column);
                shown = shown.with_label(LabeledSpan::at(offset..offset + word_length(&text[offset..]), "here"));
                report = Some(
                    Report::new(shown.clone())
                        .with_source_code(NamedSource::new(place.file.display().to_string(), text)),
                );
            }
            Err(_) => shown.message = format!("{} ({place})", shown.message),
        }
    }
    let report = report.unwrap_or_else(|| Report::new(shown));
    let mut text = String::new();
    let handler = GraphicalReportHandler::new();
    match handler.render_report(&mut text, report.as_ref()) {
        Ok(()) => text,
        Err(_) => diagnostic.to_string(),
    }
}

fn offset_of(text: &str, line: usize, column: usize) -> usize {
    let start: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    let rest = &text[start.min(text.len())..];
    let within: usize =
        rest.chars().take_while(|c| *c != '\n').take(column.saturating_sub(1)).map(char::len_utf8).sum();
    (start + within).min(text.len())
}

fn word_length(text: &str) -> usize {
    let word: usize = text.chars().take_while(|c| c.is_alphanumeric() || "_.-".contains(*c)).map(char::len_utf8).sum();
    word.max(text.chars().next().filter(|c| *c != '\n').map_or(0, char::len_utf8))
}
