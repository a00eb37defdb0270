//! Source files as the checks of our own read them: which there are, and which of a Rust file's lines are its tests.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::process::{TaskError, TaskResult};

/// Folders that a build or a run makes.
const MADE: [&str; 4] = ["target", "lake", "logs", "landing"];

/// Every file below a folder, in order, without hidden folders and those that a run makes.
pub(crate) fn files(folder: &Path) -> TaskResult<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(|error| unreadable(&folder, &error))? {
            let entry = entry.map_err(|error| unreadable(&folder, &error))?;
            let kind = entry.file_type().map_err(|error| unreadable(&entry.path(), &error))?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if kind.is_file() {
                found.push(entry.path());
            } else if kind.is_dir() && !name.starts_with('.') && !MADE.contains(&name.as_ref()) {
                folders.push(entry.path());
            }
        }
    }
    found.sort();
    Ok(found)
}

/// A file as text.
pub(crate) fn text(path: &Path) -> TaskResult<String> {
    fs::read_to_string(path).map_err(|error| unreadable(path, &error))
}

/// Whether a file's name ends in `.` and this extension.
pub(crate) fn ends_in(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|own| own == extension)
}

/// A file's place below a folder, with `/` between its parts.
pub(crate) fn place(path: &Path, folder: &Path) -> String {
    let below = path.strip_prefix(folder).unwrap_or(path);
    let parts: Vec<_> = below.components().map(|part| part.as_os_str().to_string_lossy()).collect();
    parts.join("/")
}

fn unreadable(path: &Path, error: &std::io::Error) -> TaskError {
    TaskError::Found(format!("{} cannot be read: {error}", path.display()))
}

/// The lines of a Rust file, told apart.
#[derive(Default)]
pub(crate) struct Parts<'a> {
    /// What is built for users.
    pub(crate) program: Vec<&'a str>,
    /// What is built for tests alone.
    pub(crate) tests: Vec<&'a str>,
    /// The modules that are built for tests alone and are files of their own.
    pub(crate) test_modules: Vec<&'a str>,
}

/// Tells a file's tests apart by `#[cfg(test)]`. A module of tests runs to the end of its file, which clippy holds
/// (`items_after_test_module`); anything else ends where its indentation does, which rustfmt holds.
pub(crate) fn parts(text: &str) -> Parts<'_> {
    let mut parts = Parts::default();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if line.trim() != "#[cfg(test)]" {
            parts.program.push(line);
            continue;
        }
        parts.tests.push(line);
        while let Some(attribute) = lines.next_if(|line| line.trim_start().starts_with("#[")) {
            parts.tests.push(attribute);
        }
        let Some(item) = lines.next() else { break };
        parts.tests.push(item);
        let module = item.split_once("mod ").map(|(_, name)| name);
        if let Some(name) = module.and_then(|name| name.strip_suffix(';')) {
            parts.test_modules.push(name);
        } else if item.starts_with("mod ") {
            parts.tests.extend(lines.by_ref());
        } else if !item.ends_with(';') {
            let end = item.len() - item.trim_start().len();
            for line in lines.by_ref() {
                parts.tests.push(line);
                if line.get(end..).is_some_and(|rest| rest.starts_with('}')) {
                    break;
                }
            }
        }
    }
    parts
}

/// The modules that are built for tests alone and are files of their own.
pub(crate) struct TestModules(Vec<PathBuf>);

impl TestModules {
    /// Those that these files, each with its text, declare.
    pub(crate) fn of(texts: &[(PathBuf, String)]) -> Self {
        let mut modules = Vec::new();
        for (path, text) in texts {
            let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
            let folder = path.parent().unwrap_or(path);
            // A module's children stand beside `mod.rs`, `lib.rs` and `main.rs`, and in a folder of the name of any other file.
            let folder = match stem {
                "mod" | "lib" | "main" => folder.to_path_buf(),
                _ => folder.join(stem),
            };
            modules.extend(parts(text).test_modules.into_iter().map(|name| folder.join(name)));
        }
        Self(modules)
    }

    /// Whether a file is one of them (`tests.rs`) or in one of them (`tests/…`).
    pub(crate) fn hold(&self, path: &Path) -> bool {
        self.0.iter().any(|module| path.starts_with(module) || path.with_extension("") == *module)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_told_apart() {
        let text = "use a;\n#[cfg(test)]\nmod held;\n#[cfg(test)]\n#[allow(x)]\nfn b() {\n    c();\n}\nfn d() {}\n\
                    #[cfg(test)]\nmod tests {\n    const J: &str = \"{\n}\";\n}\n";
        let parts = parts(text);
        assert_eq!(parts.program, ["use a;", "fn d() {}"]);
        assert_eq!(parts.test_modules, ["held"]);
        assert_eq!(parts.tests.len(), 12);
    }

    #[test]
    fn modules_of_tests_are_files_or_folders() {
        let declared = "#[cfg(test)]\nmod tests;\n".to_owned();
        let texts = [(PathBuf::from("src/files/mod.rs"), declared.clone()), (PathBuf::from("src/wave.rs"), declared)];
        let modules = TestModules::of(&texts);
        for path in ["src/files/tests.rs", "src/files/tests/a/b.rs", "src/wave/tests.rs"] {
            assert!(modules.hold(Path::new(path)), "{path}");
        }
        for path in ["src/files/mod.rs", "src/tests.rs", "src/load/tests.rs"] {
            assert!(!modules.hold(Path::new(path)), "{path}");
        }
    }
}
