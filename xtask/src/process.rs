//! Starting other programs from the repository's root.

use std::{
    env, fmt,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

/// What a task ends with.
pub(crate) type TaskResult<T = ()> = Result<T, TaskError>;

/// Why a task stopped.
#[derive(Debug)]
pub(crate) enum TaskError {
    /// A program could not be started.
    NotStarted { program: String, source: std::io::Error },
    /// A program ended with an error; what it printed says why.
    Failed { command: String, status: String },
    /// A check of our own found something, or the machine lacks something.
    Found(String),
}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotStarted { program, source } => write!(f, "`{program}` could not be started: {source}"),
            Self::Failed { command, status } => write!(f, "`{command}` failed: {status}"),
            Self::Found(text) => f.write_str(text),
        }
    }
}

/// The repository's root: the folder above this crate's. `cargo run` says where that is; checkouts that share a target folder share
/// this program as well, and it was built in one of them.
pub(crate) fn root() -> PathBuf {
    let here = env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    let here = Path::new(&here);
    here.parent().unwrap_or(here).to_path_buf()
}

/// Where built tools and the tests' Python live: outside the checkout, so that a fresh checkout finds them.
pub(crate) fn cache() -> TaskResult<PathBuf> {
    match env::var_os("HOME") {
        Some(home) => Ok(PathBuf::from(home).join(".cache").join("wardlake")),
        None => Err(TaskError::Found("HOME is not set; it names where tools are kept".to_owned())),
    }
}

/// The cargo that started this task.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    // What `cargo run` says about this task's own package would be taken by build scripts for a change of their inputs.
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")) {
            command.env_remove(name);
        }
    }
    command
}

/// Runs to the end with this terminal; an exit code other than 0 is an error.
pub(crate) fn run(command: &mut Command) -> TaskResult {
    let status = command.status().map_err(|source| not_started(command, source))?;
    if status.success() {
        Ok(())
    } else {
        Err(TaskError::Failed { command: shown(command), status: status.to_string() })
    }
}

/// Runs to the end and returns what was printed, whatever the exit code.
pub(crate) fn output(command: &mut Command) -> TaskResult<Output> {
    command.stdin(Stdio::null()).output().map_err(|source| not_started(command, source))
}

/// Standard output as text; an exit code other than 0 is an error that holds standard error.
pub(crate) fn text(command: &mut Command) -> TaskResult<String> {
    let output = output(command)?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        let status = format!("{}\n{}", output.status, String::from_utf8_lossy(&output.stderr).trim_end());
        Err(TaskError::Failed { command: shown(command), status })
    }
}

fn not_started(command: &Command, source: std::io::Error) -> TaskError {
    TaskError::NotStarted { program: command.get_program().to_string_lossy().into_owned(), source }
}

fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default().to_string_lossy().into_owned();
    command.get_args().fold(program, |line, arg| line + " " + &arg.to_string_lossy())
}
