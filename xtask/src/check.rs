//! Checks that read the code and run none of it.

use crate::{
    process::{TaskError, TaskResult, cargo, output, root, run},
    tools,
};

pub(crate) fn fmt(check: bool) -> TaskResult {
    let mut command = cargo();
    command.args(["fmt", "--all"]);
    if check {
        command.arg("--check");
    }
    run(&mut command)
}

pub(crate) fn lint() -> TaskResult {
    run(cargo().args(["clippy", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"]))
}

pub(crate) fn docs() -> TaskResult {
    run(cargo().args(["doc", "--locked", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings"))
}

pub(crate) fn machete() -> TaskResult {
    let machete = tools::CARGO_MACHETE.installed()?;
    run(std::process::Command::new(machete).arg("--skip-target-dir").current_dir(root()))
}

/// Bans, licences and sources need only the lockfile and the crates' manifests. Advisories need a database from the
/// network: a machine that cannot reach it says so and goes on, one that can fails on an advisory.
pub(crate) fn deny() -> TaskResult {
    let deny = tools::CARGO_DENY.installed()?;
    let check = |what: &[&str]| {
        let mut command = std::process::Command::new(&deny);
        command.args(["--locked", "check", "--hide-inclusion-graph"]).args(what).current_dir(root());
        command
    };
    run(&mut check(&["bans", "licenses", "sources"]))?;
    let advisories = output(&mut check(&["advisories"]))?;
    let report = String::from_utf8_lossy(&advisories.stderr);
    if advisories.status.success() {
        println!("{}", String::from_utf8_lossy(&advisories.stdout).trim_end());
        Ok(())
    } else if report.contains("failed to fetch advisory database") {
        println!("advisories not checked: their database cannot be reached from here");
        Ok(())
    } else {
        Err(TaskError::Found(format!("advisories:\n{}", report.trim_end())))
    }
}
