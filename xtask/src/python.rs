//! The Python of the tests and benches: the other engines that read our tables and run our projects.

use std::{env, fs, path::PathBuf, process::Command};

use crate::process::{TaskError, TaskResult, cache, output, root, run};

/// One virtual environment with the packages of one requirements file.
pub(crate) struct Environment {
    folder: &'static str,
    requirements: &'static str,
}

pub(crate) const TESTS: Environment = Environment { folder: "venv", requirements: "peers/requirements.txt" };
pub(crate) const BENCHES: Environment =
    Environment { folder: "venv-bench", requirements: "peers/requirements-bench.txt" };

impl Environment {
    /// Its interpreter. What is installed is compared with the requirements byte by byte; a difference builds it anew.
    pub(crate) fn python(&self) -> TaskResult<PathBuf> {
        let folder = cache()?.join(self.folder);
        let python = folder.join("bin").join("python");
        let stamp = folder.join("installed-requirements.txt");
        let requirements = root().join(self.requirements);
        let wanted = fs::read(&requirements)
            .map_err(|error| TaskError::Found(format!("{} cannot be read: {error}", self.requirements)))?;
        if python.is_file() && fs::read(&stamp).is_ok_and(|installed| installed == wanted) {
            return Ok(python);
        }
        println!("installing {} into {}", self.requirements, folder.display());
        run(Command::new(interpreter()?).args(["-m", "venv", "--clear"]).arg(&folder))?;
        let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"];
        run(Command::new(&python).args(pip).arg(&requirements))?;
        // Last, so that an installation that was cut short is done again.
        fs::write(&stamp, wanted)
            .map_err(|error| TaskError::Found(format!("{} cannot be written: {error}", stamp.display())))?;
        Ok(python)
    }
}

/// The machine's Python, 3.10 or newer (the pinned packages ask for it). `PYTHON` names another than the PATH's.
fn interpreter() -> TaskResult<String> {
    let candidates = match env::var("PYTHON") {
        Ok(chosen) => vec![chosen],
        Err(_) => vec!["python3".to_owned(), "python".to_owned()],
    };
    let is_new_enough = "import sys, venv; sys.exit(sys.version_info < (3, 10))";
    let usable =
        |name: &String| output(Command::new(name).args(["-c", is_new_enough])).is_ok_and(|o| o.status.success());
    candidates.into_iter().find(usable).ok_or_else(|| {
        TaskError::Found(
            "the tests compare Wardlake with other engines and need Python 3.10 or newer with venv; install it, \
             name one in PYTHON, or leave those tests out with `cargo xtask test --quick`"
                .to_owned(),
        )
    })
}
