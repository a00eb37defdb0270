//! The walls of ARCHITECTURE.md, asked of `cargo tree`: which crates reach neither an async runtime nor an engine. Within a crate,
//! no large ring of files; a list of the files that read as the system; no kind of source that others name; and a test for every fault
//! that users found.

use crate::{
    kinds,
    process::{TaskError, TaskResult, cargo, text},
    rings, trials, viewers,
};

/// Crates, and families of crates, that hold engines and tables.
const ENGINES: [&str; 3] = ["datafusion", "deltalake", "object_store"];
/// Those, and the ones that hold an async runtime.
const RUNTIMES: [&str; 6] = ["tokio", "datafusion", "deltalake", "object_store", "hyper", "reqwest"];

/// What speaks with people and programs outside.
const DOORS: [&str; 3] = ["axum", "clap", "indicatif"];

/// What each walled crate must not reach.
const WALLS: [(&str, &[&str]); 11] = [
    ("wardlake-core", &RUNTIMES),
    ("wardlake-access", &RUNTIMES),
    ("wardlake-access", &["wardlake-project"]),
    ("wardlake-project", &RUNTIMES),
    ("wardlake-simulate", &RUNTIMES),
    ("wardlake-connect", &ENGINES),
    ("wardlake-storage", &["wardlake-connect", "wardlake-engine"]),
    ("wardlake-records", &["wardlake-connect", "axum", "clap"]),
    ("wardlake-load", &DOORS),
    ("wardlake-build", &DOORS),
    ("wardlake-trust", &DOORS),
];

/// Every wall, and all that is found at once.
pub(crate) fn check() -> TaskResult {
    let found = [
        (
            walls()?,
            "`cargo tree --package <crate> --invert <dependency>` shows the way; move the code to the crate above",
        ),
        (rings::breaches()?, "move what several of them need into a file of its own, which needs none of them"),
        (viewers::breaches()?, "read as the viewer whom it is for, or list file and reason in xtask/src/viewers.rs"),
        (kinds::breaches()?, "ask the source by a trait of crates/connect/src/source instead"),
        (trials::breaches()?, "name the test that fails without the mending, or list the trial in xtask/src/trials.rs"),
    ];
    let broken: Vec<String> = found
        .into_iter()
        .filter(|(breaches, _)| !breaches.is_empty())
        .map(|(breaches, advice)| format!("{}\n{advice}", breaches.join("\n")))
        .collect();
    if broken.is_empty() {
        Ok(())
    } else {
        Err(TaskError::Found(format!("a wall of ARCHITECTURE.md is broken:\n{}", broken.join("\n"))))
    }
}

/// Which crates reach what they must not.
fn walls() -> TaskResult<Vec<String>> {
    let mut breaches = Vec::new();
    for (package, forbidden_names) in WALLS {
        let mut command = cargo();
        command.args(["tree", "--locked", "--package", package]);
        command.args(["--edges", "normal", "--prefix", "none", "--format", "{p}"]);
        let reached = forbidden(&text(&mut command)?, forbidden_names);
        match reached.is_empty() {
            true => println!("{package} reaches none of {}", forbidden_names.join(", ")),
            false => breaches.push(format!("{package} reaches {}", reached.join(", "))),
        }
    }
    Ok(breaches)
}

/// The forbidden packages among the lines of `cargo tree --prefix none`, each `name version …`.
fn forbidden(tree: &str, names: &[&str]) -> Vec<String> {
    let is_forbidden = |name: &str| {
        names
            .iter()
            .any(|family| name.strip_prefix(family).is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '_'])))
    };
    let mut found: Vec<String> = tree
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| is_forbidden(name))
        .map(str::to_owned)
        .collect();
    found.sort();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_is_forbidden_and_a_longer_name_is_not() {
        let tree = "wardlake-connect v0.1.0\ntokio v1.48.0\ntokio-util v0.7.0 (*)\ntokiorama v1.0.0\ndatafusion-common v55.0.0\n";
        assert_eq!(forbidden(tree, &RUNTIMES), ["datafusion-common", "tokio", "tokio-util"]);
        assert!(forbidden("serde v1.0.0\nchrono v0.4.0\n", &RUNTIMES).is_empty());
    }
}
