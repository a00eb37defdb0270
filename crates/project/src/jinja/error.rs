//! From the engine's errors to diagnostics: a stable code, the innermost place, one trace entry per macro call.
//!
//! | code | meaning |
//! |---|---|
//! | WL-J001 | the template cannot be read |
//! | WL-J002 | an unknown macro, function or method |
//! | WL-J003 | an unknown filter or test |
//! | WL-J004 | wrong arguments |
//! | WL-J005 | `ref` or `source` found nothing |
//! | WL-J006 | a required `var` is not set |
//! | WL-J007 | a required `env_var` is not set |
//! | WL-J008 | the project raised an error itself |
//! | WL-J009 | the warehouse refused a query |
//! | WL-J010 | a loop or recursion without end |
//! | WL-J011 | an operation the values do not have |
//! | WL-J012 | `adapter.dispatch` found no macro |
//! | WL-J013 | `return` outside a macro |
//! | WL-J014 | a macro is defined twice |
//! | WL-J015 | a required `config` is not set |

use std::{error::Error as _, path::PathBuf};

use minijinja::{Error, ErrorKind};
use wardlake_core::{Diagnostic, Location};

use super::position::Place;

/// A failure of one of our own functions, inside an engine error.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Fault {
    code: &'static str,
    message: String,
    help: Option<String>,
}

/// An engine error with our code.
pub(crate) fn fault(code: &'static str, message: impl Into<String>, help: Option<String>) -> Error {
    let message = message.into();
    Error::new(ErrorKind::InvalidOperation, message.clone()).with_source(Fault { code, message, help })
}

/// The failure of a call, so that the caller's line becomes a frame of the trace.
pub(crate) fn in_macro(name: &str, failure: Error) -> Error {
    // Never the inner kind: the engine takes an unknown method inside for an unknown macro and calls it a second time.
    Error::new(ErrorKind::InvalidOperation, format!("in macro {name}")).with_source(failure)
}

/// How the text of a name at a failure's place is found, to say what is unknown.
pub(crate) type NameAt<'a> = &'a dyn Fn(&Error) -> Option<String>;

/// Everything known about a failed render. `locate` finds the place of each engine error.
pub(crate) fn diagnostic(
    failure: &Error,
    locate: &dyn Fn(&Error) -> Option<(PathBuf, Place)>,
    name_at: NameAt<'_>,
    suggest: &dyn Fn(&str) -> Option<String>,
) -> Diagnostic {
    let mut frames = Vec::new();
    let mut innermost = failure;
    let mut engine_error = Some(failure);
    while let Some(current) = engine_error {
        innermost = current;
        if let Some((file, place)) = locate(current) {
            frames.push(Location { file, line: place.line, column: place.column });
        }
        engine_error = current.source().and_then(|source| source.downcast_ref::<Error>());
    }
    let mut diagnostic = match innermost.source().and_then(|source| source.downcast_ref::<Fault>()) {
        Some(fault) => {
            let mut diagnostic = Diagnostic::error(fault.code, fault.message.clone());
            diagnostic.help.clone_from(&fault.help);
            diagnostic
        }
        None => describe(innermost, name_at, suggest),
    };
    diagnostic.location = frames.pop();
    frames.reverse();
    frames.dedup();
    diagnostic.trace = frames;
    diagnostic
}

/// A template that does not compile.
pub(crate) fn syntax(failure: &Error, locate: impl Fn(&Error) -> Option<(PathBuf, Place)>) -> Diagnostic {
    diagnostic(failure, &locate, &|_| None, &|_| None)
}

fn describe(failure: &Error, name_at: NameAt<'_>, suggest: &dyn Fn(&str) -> Option<String>) -> Diagnostic {
    let detail = failure.detail().unwrap_or_default();
    let plain = |code: &str| {
        Diagnostic::error(code, if detail.is_empty() { failure.kind().to_string() } else { detail.to_owned() })
    };
    match failure.kind() {
        ErrorKind::SyntaxError | ErrorKind::BadEscape => {
            plain("WL-J001").help("compare the tag with Jinja's syntax; `{{` prints, `{%` is a statement")
        }
        ErrorKind::UnknownFunction => undefined(detail.strip_suffix(" is unknown").unwrap_or(detail), suggest),
        ErrorKind::UnknownMethod | ErrorKind::InvalidOperation | ErrorKind::UndefinedError
            if detail.starts_with("undefined has no method")
                || detail.starts_with("value of type undefined is not callable") =>
        {
            undefined(&name_at(failure).unwrap_or_else(|| "the called value".to_owned()), suggest)
        }
        ErrorKind::UnknownMethod => plain("WL-J002"),
        ErrorKind::UnknownFilter | ErrorKind::UnknownTest => plain("WL-J003"),
        ErrorKind::TooManyArguments | ErrorKind::MissingArgument => {
            let mut diagnostic = plain("WL-J004");
            if let Some(name) = name_at(failure) {
                diagnostic.message = format!("{} in the call of `{name}`", diagnostic.message);
            }
            diagnostic
        }
        ErrorKind::OutOfFuel => Diagnostic::error("WL-J010", "the template was stopped: it ran for too many steps")
            .help("look for a loop or a recursion without end"),
        ErrorKind::WriteFailure => {
            Diagnostic::error("WL-J010", "the template was stopped: its text grew beyond 32 MiB")
                .help("look for a loop without end; large data belongs into a seed or a source")
        }
        ErrorKind::InvalidOperation if detail.contains("recursion limit") => {
            Diagnostic::error("WL-J010", "the template was stopped: its macros call each other too deeply")
                .help("look for a recursion without end")
        }
        _ => plain("WL-J011"),
    }
}

/// The message for a name nothing stands behind.
pub(crate) fn undefined(name: &str, suggest: &dyn Fn(&str) -> Option<String>) -> Diagnostic {
    let (message, help) = undefined_text(name, suggest(name));
    Diagnostic::error("WL-J002", message).help(help)
}

/// Message and help for a call of a name nothing stands behind.
pub(crate) fn undefined_text(name: &str, suggestion: Option<String>) -> (String, String) {
    (
        format!("'{name}' is undefined. This can happen when calling a macro that does not exist."),
        match suggestion {
            Some(suggestion) => format!("did you mean `{suggestion}`?"),
            None => "check for typos, and that the package which defines it is installed".to_owned(),
        },
    )
}
