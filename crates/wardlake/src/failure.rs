//! Why a command stopped, for people: message, place, code frame, what to do next; and the exit code.

use std::{path::Path, process::ExitCode};

use miette::{
    GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteDiagnostic, NamedSource, Report, Severity as Level,
};
use wardlake_build::{BuildError, place_as_written};
use wardlake_core::{Diagnostic, Diagnostics, ErrorKind, HasErrorKind, Severity};
use wardlake_engine::EngineError;
use wardlake_load::LoadError;
use wardlake_storage::StorageError;
use wardlake_trust::TrustError;

use crate::{
    json_log::CommandEvent,
    printing::{Stream, Unwritten, err, painted, safe, safe_source, wrapped},
    teller::{LogFormat, Teller},
    terminal::counted,
};

/// Exit code of a command that could not do its work, whatever a node did.
const NOTHING_DONE: u8 = 2;
/// Columns that stand before each line of a problem's message and help.
const FRAME: usize = 8;

/// A command's failure.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The project has problems.
    #[error(transparent)]
    Project(#[from] Diagnostics),
    /// Nothing could be loaded.
    #[error(transparent)]
    Load(LoadError),
    /// Nothing could be built.
    #[error(transparent)]
    Build(BuildError),
    /// A question could not be answered, or a decision not be taken.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// Someone pressed Ctrl-C.
    #[error("cancelled; what was committed stays, the rest runs next time")]
    Cancelled,
    /// A query failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A query that someone wrote failed, and where in it is known, or what to write instead.
    #[error("{error}{place}")]
    Query {
        /// How.
        error: Box<EngineError>,
        /// Lines of their own.
        place: String,
    },
    /// The lake failed.
    #[error("{}", wardlake_engine::with_cause(.0))]
    Storage(#[from] StorageError),
    /// The server failed.
    #[error(transparent)]
    Serve(wardlake_serve::ServeError),
    /// The server that has the lake did not do what was handed to it.
    #[error(transparent)]
    HandOver(#[from] wardlake_serve::HandOverError),
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
    /// The result was not written out.
    #[error(transparent)]
    Unwritten(#[from] Unwritten),
}

impl From<wardlake_serve::ServeError> for Failure {
    fn from(error: wardlake_serve::ServeError) -> Self {
        match error {
            wardlake_serve::ServeError::Load(error) => error.into(),
            wardlake_serve::ServeError::Build(error) => error.into(),
            other => Self::Serve(other),
        }
    }
}

impl From<LoadError> for Failure {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Project(diagnostics) => Self::Project(diagnostics),
            other => Self::Load(other),
        }
    }
}

impl From<BuildError> for Failure {
    fn from(error: BuildError) -> Self {
        match error {
            BuildError::Project(diagnostics) => Self::Project(diagnostics),
            other => Self::Build(other),
        }
    }
}

impl Failure {
    pub(crate) fn file(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.display().to_string();
        move |source| Self::File { path, source }
    }

    /// A query failed that was `written` and, with its templates put in, became `sql`.
    pub(crate) fn of_query(error: EngineError, written: &str, sql: &str) -> Self {
        let found = error.place_in(sql).and_then(|place| place_as_written(written, sql, place));
        let mut place = match found {
            Some((line, Some(column))) => format!("\n  --> line {line}, column {column}"),
            Some((line, None)) => format!("\n  --> line {line}"),
            None => String::new(),
        };
        if let EngineError::Syntax(syntax) = &error
            && let Some(help) = &syntax.help
        {
            place.push_str(&format!("\n  help: {help}"));
        }
        Self::Query { error: Box::new(error), place }
    }

    fn kind(&self) -> ErrorKind {
        match self {
            Self::Project(error) => error.kind(),
            Self::Load(error) => error.kind(),
            Self::Build(error) => error.kind(),
            Self::Trust(error) => error.kind(),
            Self::Cancelled => ErrorKind::Unavailable,
            Self::Engine(error) => error.kind(),
            Self::Query { error, .. } => error.kind(),
            Self::Storage(error) => error.kind(),
            Self::Serve(error) => error.kind(),
            Self::HandOver(error) => error.kind(),
            Self::Simulate(_) | Self::File { .. } => ErrorKind::Unavailable,
            Self::Usage(_) | Self::Unwritten(_) => ErrorKind::Invalid,
        }
    }

    /// Tells the failure and gives the exit code: 2 for everything a node did not cause. `root` is the project folder.
    pub(crate) fn report(self, teller: &Teller, root: &Path) -> ExitCode {
        if matches!(self, Self::Unwritten(Unwritten::Unread)) {
            return ExitCode::SUCCESS;
        }
        if let Self::Project(diagnostics) = &self {
            tell_problems(diagnostics, root, teller);
        }
        match (teller.format, &self) {
            (LogFormat::Json, failure) => {
                let message = match failure {
                    Self::Project(diagnostics) => has_problems(diagnostics),
                    other => other.to_string(),
                };
                teller.event(&CommandEvent::CommandFailed { kind: failure.kind(), message, exit_code: NOTHING_DONE });
            }
            (LogFormat::Text, Self::Project(_)) => {}
            (LogFormat::Text, failure) => {
                err(format_args!("error: {failure}"));
                if failure.kind() == ErrorKind::Internal {
                    err("This is a fault of Wardlake's own; please report it with the command that led to it.");
                }
            }
        }
        ExitCode::from(NOTHING_DONE)
    }
}

/// `the project has 3 errors`.
pub(crate) fn has_problems(diagnostics: &Diagnostics) -> String {
    let errors = diagnostics.0.iter().filter(|diagnostic| diagnostic.severity == Severity::Error).count();
    format!("the project has {}", counted(errors as u64, "error"))
}

/// Every problem of the project: for people with its code frame and a line that counts them, as JSON an event each.
pub(crate) fn tell_problems(diagnostics: &Diagnostics, root: &Path, teller: &Teller) {
    if teller.format == LogFormat::Json {
        diagnostics.0.iter().for_each(|diagnostic| teller.event(&CommandEvent::from(diagnostic)));
        return;
    }
    for diagnostic in &diagnostics.0 {
        painted(Stream::Err, &render(diagnostic, root));
    }
    let errors = diagnostics.0.iter().filter(|d| d.severity == Severity::Error).count();
    let warnings = diagnostics.0.len() - errors;
    if diagnostics.0.len() > 1 {
        err(format_args!("{}, {}", counted(errors as u64, "error"), counted(warnings as u64, "warning")));
    }
}

fn render(diagnostic: &Diagnostic, root: &Path) -> String {
    // Broken here and not by the library, which breaks within words as well.
    let fitted = |text: &str| match Stream::Err.width() {
        Some(width) => wrapped(&safe(text), width.saturating_sub(FRAME)),
        None => safe(text).into_owned(),
    };
    let severity = match diagnostic.severity {
        Severity::Warning => Level::Warning,
        Severity::Error => Level::Error,
    };
    let mut shown =
        MietteDiagnostic::new(fitted(&diagnostic.message)).with_code(&diagnostic.code).with_severity(severity);
    let mut help: Vec<String> = diagnostic.help.iter().cloned().collect();
    help.extend(diagnostic.trace.iter().map(|frame| format!("called from {frame}")));
    if !help.is_empty() {
        shown = shown.with_help(fitted(&help.join("\n")));
    }
    let mut report = None;
    if let Some(place) = &diagnostic.location {
        let text = std::fs::read_to_string(root.join(&place.file)).or_else(|_| std::fs::read_to_string(&place.file));
        match text {
            Ok(text) => {
                let text = safe_source(&text);
                let offset = offset_of(&text, place.line, place.column);
                shown = shown.with_label(LabeledSpan::at(offset..offset + word_length(&text[offset..]), "here"));
                let name = place.file.display().to_string();
                report = Some(Report::new(shown.clone()).with_source_code(NamedSource::new(safe(&name), text)));
            }
            Err(_) => shown.message = format!("{} ({})", shown.message, safe(&place.to_string())),
        }
    }
    let report = report.unwrap_or_else(|| Report::new(shown));
    let mut text = String::new();
    let handler = GraphicalReportHandler::new_themed(theme()).with_wrap_lines(false).with_links(false);
    match handler.render_report(&mut text, report.as_ref()) {
        Ok(()) => text,
        Err(_) => safe(&diagnostic.to_string()).into_owned(),
    }
}

/// Lines and colours for a terminal that shows them, plain characters for everything else.
fn theme() -> GraphicalTheme {
    match Stream::Err.is_terminal() {
        true if Stream::Err.is_colored() => GraphicalTheme::unicode(),
        true if std::env::var_os("NO_COLOR").is_some() => GraphicalTheme::unicode_nocolor(),
        _ => GraphicalTheme::none(),
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
