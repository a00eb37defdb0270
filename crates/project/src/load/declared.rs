//! `packages.yml` and `dependencies.yml`: what a project says it needs, held against the packages that are there. Nothing is
//! installed here; what lies in the install folder is read like the project itself.

use std::path::Path;

use wardlake_core::{Diagnostic, Diagnostics};

use crate::{
    Package,
    properties::NOT_DONE,
    yaml::{self, Yaml},
};

const FILES: [&str; 2] = ["packages.yml", "dependencies.yml"];

/// One entry of `packages:`.
struct Declared<'a> {
    entry: &'a Yaml,
    /// The package's name, or what is the likeliest for one.
    name: String,
    /// A repository or a folder may be called otherwise than the package in it.
    is_certain: bool,
}

impl<'a> Declared<'a> {
    fn read(entry: &'a Yaml) -> Option<Self> {
        let text = |key: &str| entry.get(key).and_then(Yaml::scalar_text);
        let last = |path: String| {
            let path = path.trim_end_matches('/').trim_end_matches(".git");
            path.rsplit(['/', '\\', ':']).next().unwrap_or(path).replace('-', "_")
        };
        let certain = text("name").or_else(|| text("package").map(last));
        let is_certain = certain.is_some();
        let likely = || ["subdirectory", "local", "git", "private", "tarball"].into_iter().find_map(text).map(last);
        certain.or_else(likely).map(|name| Self { entry, name, is_certain })
    }
}

/// Warns of each package that is declared and is not in `below`, the folder that packages are read from.
pub(super) fn check(dir: &Path, below: &str, packages: &[Package], problems: &mut Diagnostics) {
    for file in FILES {
        let tree = match yaml::read(&dir.join(file), Path::new(file)) {
            Ok(Some(tree)) => tree,
            Ok(None) => continue,
            Err(problem) => {
                problems.push(problem);
                continue;
            }
        };
        let declared: Vec<Declared<'_>> =
            tree.get("packages").map(Yaml::items).unwrap_or_default().iter().filter_map(Declared::read).collect();
        missing(&declared, below, packages).into_iter().for_each(|one| problems.push(not_there(file, below, one)));
        for (key, value) in tree.entries() {
            if key.text == "projects" && !value.items().is_empty() {
                let message = "models of other projects are not read from where those run";
                let help = format!("put those projects into `{below}/`, where they are read as packages");
                let warning = Diagnostic::warning(NOT_DONE, message).at(file, key.at.line, key.at.column).help(help);
                problems.push(warning);
            }
        }
    }
}

/// The declared packages that are not there. One whose name is not certain may be any that no other entry names.
fn missing<'a>(declared: &'a [Declared<'a>], below: &str, packages: &[Package]) -> Vec<&'a Declared<'a>> {
    let folder = |package: &Package| package.prefix.file_name().map(|name| name.to_string_lossy().into_owned());
    let is_of = |package: &Package, one: &Declared<'_>| {
        package.name == one.name || folder(package).is_some_and(|folder| folder == one.name)
    };
    let installed: Vec<&Package> = packages.iter().filter(|package| package.prefix.starts_with(below)).collect();
    let mut unnamed = installed.iter().filter(|package| !declared.iter().any(|one| is_of(package, one))).count();
    let mut missing = Vec::new();
    for one in declared {
        if installed.iter().any(|package| is_of(package, one)) {
            continue;
        }
        if !one.is_certain && unnamed > 0 {
            unnamed -= 1;
            continue;
        }
        missing.push(one);
    }
    missing
}

fn not_there(file: &str, below: &str, Declared { entry, name, .. }: &Declared<'_>) -> Diagnostic {
    let message = format!("package `{name}` is not in {below}/, so none of its models, macros and tests are there");
    Diagnostic::warning(NOT_DONE, message).at(file, entry.at.line, entry.at.column).help(format!(
        "packages are read from `{below}/` and not downloaded: run `dbt deps`, or copy the package to `{below}/{name}`"
    ))
}
