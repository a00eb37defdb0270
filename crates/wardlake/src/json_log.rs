//! `--log-format json`: every event as one line, and what the command line itself has to tell as events of the same kind.

use serde::Serialize;
use tokio::sync::mpsc::UnboundedReceiver;
use wardlake_core::{Diagnostic, ErrorKind, Severity};
use wardlake_records::RunEvent;

use crate::teller::Teller;

/// What happens before, instead of or after a run.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum CommandEvent<'a> {
    /// Something of the project is wrong or odd.
    Problem {
        severity: Severity,
        code: &'a str,
        message: &'a str,
        /// Relative to the project folder.
        file: Option<String>,
        line: Option<usize>,
        column: Option<usize>,
        help: Option<&'a str>,
        /// The macro calls that led there, innermost first.
        called_from: Vec<String>,
    },
    /// The command could not do its work.
    CommandFailed { kind: ErrorKind, message: String, exit_code: u8 },
}

impl<'a> From<&'a Diagnostic> for CommandEvent<'a> {
    fn from(diagnostic: &'a Diagnostic) -> Self {
        let place = diagnostic.location.as_ref();
        Self::Problem {
            severity: diagnostic.severity,
            code: &diagnostic.code,
            message: &diagnostic.message,
            file: place.map(|place| place.file.display().to_string()),
            line: place.map(|place| place.line),
            column: place.map(|place| place.column),
            help: diagnostic.help.as_deref(),
            called_from: diagnostic.trace.iter().map(ToString::to_string).collect(),
        }
    }
}

/// Tells events until the run is over. For a thread that may wait for whoever reads.
pub(crate) fn read(mut events: UnboundedReceiver<RunEvent>, teller: &Teller) {
    while let Some(event) = events.blocking_recv() {
        teller.event(&event);
    }
}
