//! Cargo's own tools that a task needs: the one on the PATH, or one that is built once into the cache folder.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use crate::process::{TaskResult, cache, cargo, run};

/// One tool that cargo installs, whose binary bears the name of its crate.
pub(crate) struct Tool {
    name: &'static str,
    version: &'static str,
}

pub(crate) const CARGO_DENY: Tool = Tool { name: "cargo-deny", version: "0.20.2" };
pub(crate) const CARGO_MACHETE: Tool = Tool { name: "cargo-machete", version: "0.9.2" };

impl Tool {
    /// The binary, built first where it is missing.
    pub(crate) fn installed(&self) -> TaskResult<PathBuf> {
        let folder = cache()?.join("tools");
        let own = folder.join("bin").join(self.name);
        if own.is_file() {
            return Ok(own);
        }
        if let Some(found) = self.on_path() {
            return Ok(found);
        }
        // Its own target folder: the tool's dependencies have other features than ours and must not evict them.
        let target = folder.join("target");
        let crate_version = format!("{}@{}", self.name, self.version);
        let mut install = cargo();
        install.args(["install", "--locked", &crate_version, "--root"]).arg(&folder).env("CARGO_TARGET_DIR", &target);
        run(&mut install)?;
        remove(&target);
        Ok(own)
    }

    fn on_path(&self) -> Option<PathBuf> {
        env::split_paths(&env::var_os("PATH")?).map(|folder| folder.join(self.name)).find(|path| path.is_file())
    }
}

/// A target folder that cannot be removed only takes room.
fn remove(folder: &Path) {
    if let Err(error) = fs::remove_dir_all(folder) {
        eprintln!("xtask: {} stays: {error}", folder.display());
    }
}
