//! `wardlake.yml`: where the lake of each target is, and how much of the machine a run may use.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value as Json, json};
use wardlake_core::{Diagnostic, Diagnostics, did_you_mean};

use crate::{
    LoadOptions,
    keeping::{self, Keeping},
    load,
    yaml::{self, Yaml},
};

/// One environment the project can be built in.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// Its name (`dev`, `prod`, …).
    pub name: String,
    /// The lake: a URL (`s3://…`, `abfss://…`, `gs://…`, `file://…`) or an absolute path of a folder.
    pub lake: String,
    /// Schema of nodes without a schema of their own.
    pub schema: String,
    /// Nodes built at the same time.
    pub threads: usize,
    /// Bytes a run may hold in memory before it spills; none leaves the choice to the engine.
    pub memory_limit_bytes: Option<u64>,
    /// `serve.hosts`: names by which browsers and clients know the server, beside those that every server has.
    pub serve_hosts: Vec<String>,
    /// What is kept of the lake, and for how long.
    pub keeping: Keeping,
    /// `vars:` of the file, the target's own over the common ones.
    pub vars: Map<String, Json>,
}

/// The catalog's name in artifacts and in `target.database`.
pub const DATABASE: &str = "lake";

/// Nodes at once, where neither the target nor the command line says how many.
pub const DEFAULT_THREADS: usize = 2;
/// The lake of a project that names none.
const IMPLICIT_LAKE: &str = "lake";

const TOP_KEYS: [&str; 3] = ["target", "targets", "vars"];
const TARGET_KEYS: [&str; 7] = ["lake", "schema", "threads", "memory_limit", "serve", "vars", "meta"];
const SERVE_KEYS: [&str; 1] = ["hosts"];

impl Target {
    /// The target that `options` choose, without the rest of the project: where its lake is can be told although the project has
    /// problems.
    ///
    /// # Errors
    /// Whatever is wrong in wardlake.yml, and a target that is not there.
    pub fn of(options: &LoadOptions) -> Result<Self, Diagnostics> {
        load::target(options)
    }

    /// The target of a project without wardlake.yml, which nobody has to name. Who names one means another lake than this.
    pub(crate) fn without_file(dir: &Path, wanted: Option<&str>) -> Result<Self, Diagnostic> {
        match wanted {
            None => Ok(Self::implicit(dir)),
            Some(name) => {
                let message = format!("there is no target `{name}`: the project has no wardlake.yml, which names them");
                Err(Diagnostic::error("WL-P004", message).help(format!(
                    "write wardlake.yml beside dbt_project.yml, for example\n\
                     targets:\n  {name}: {{lake: \"s3://bucket/lake\"}}\n\
                     or leave out --target (WARDLAKE_TARGET): the lake is then the folder {}",
                    dir.join(IMPLICIT_LAKE).display()
                )))
            }
        }
    }

    /// A folder beside dbt_project.yml.
    fn implicit(dir: &Path) -> Self {
        Self {
            name: "dev".to_owned(),
            lake: dir.join(IMPLICIT_LAKE).to_string_lossy().into_owned(),
            schema: "main".to_owned(),
            threads: DEFAULT_THREADS,
            memory_limit_bytes: None,
            serve_hosts: Vec::new(),
            keeping: Keeping::default(),
            vars: Map::new(),
        }
    }

    /// `target` as templates see it.
    pub(crate) fn to_json(&self, profile: &str) -> Json {
        json!({
            "name": self.name, "target_name": self.name, "profile_name": profile, "type": "wardlake",
            "schema": self.schema, "database": DATABASE, "dbname": DATABASE, "threads": self.threads,
            "path": self.lake,
        })
    }

    /// Reads the chosen target. `render` turns a value with Jinja in it into the value it stands for; `needs_lake` is false where
    /// the caller names the lake.
    pub(crate) fn read(
        dir: &Path,
        file: &Path,
        tree: &Yaml,
        wanted: Option<&str>,
        needs_lake: bool,
        render: &mut dyn FnMut(&Yaml) -> Result<Json, Diagnostic>,
    ) -> Result<Self, Diagnostics> {
        let mut problems = Diagnostics::default();
        check_shape(file, tree, &mut problems);
        let mut target = Self::implicit(dir);
        if let Some(vars) = tree.get("vars") {
            target.vars.extend(render_map(vars, render)?);
        }
        target.keeping.read(file, tree, render, &mut problems)?;
        let targets = tree.get("targets");
        let names: Vec<&str> =
            targets.map(Yaml::entries).unwrap_or_default().iter().map(|(k, _)| k.text.as_str()).collect();
        let default = match tree.get("target") {
            Some(value) => render(value)?.as_str().map(str::to_owned),
            None => None,
        };
        let Some(targets) = targets else {
            return match wanted.map(str::to_owned).or(default) {
                None if problems.has_errors() => Err(problems),
                None => Ok(target),
                // The implicit lake is nobody's by name: `prod` must not be built into it.
                Some(name) => {
                    problems.push(absent(file, tree, &name, &[]));
                    Err(problems)
                }
            };
        };
        let name = match wanted.map(str::to_owned).or(default) {
            Some(name) => name,
            None => names.first().unwrap_or(&"dev").to_string(),
        };
        target.name.clone_from(&name);
        let Some(block) = targets.get(&name) else {
            problems.push(absent(file, tree, &name, &names));
            return Err(problems);
        };
        if needs_lake && names.len() > 1 && block.get("lake").is_none() {
            let message = format!("target `{name}` does not say where its lake is");
            problems.push(Diagnostic::error("WL-P005", message).at(file, block.at.line, block.at.column).help(format!(
                "write `lake:` in each target; where there are several, none takes the folder `{IMPLICIT_LAKE}` by itself"
            )));
        }
        target.read_block(dir, file, block, render, &mut problems)?;
        if problems.has_errors() { Err(problems) } else { Ok(target) }
    }

    fn read_block(
        &mut self,
        dir: &Path,
        file: &Path,
        block: &Yaml,
        render: &mut dyn FnMut(&Yaml) -> Result<Json, Diagnostic>,
        problems: &mut Diagnostics,
    ) -> Result<(), Diagnostics> {
        for (key, value) in block.entries() {
            let bad = |what: &str| {
                Diagnostic::error("WL-P005", format!("`{}` must be {what}", key.text)).at(
                    file,
                    value.at.line,
                    value.at.column,
                )
            };
            match key.text.as_str() {
                "lake" => match render(value)? {
                    Json::String(text) if !text.trim().is_empty() => self.lake = absolute_lake(dir, text.trim()),
                    _ => problems.push(bad("a URL or a path")),
                },
                "schema" => match render(value)? {
                    Json::String(text) if !text.is_empty() => self.schema = text,
                    _ => problems.push(bad("a text")),
                },
                "threads" => match as_u64(&render(value)?) {
                    Some(n) if n > 0 => self.threads = n as usize,
                    _ => problems.push(bad("a number above zero")),
                },
                "memory_limit" => match yaml::as_bytes(&render(value)?) {
                    Some(n) => self.memory_limit_bytes = Some(n),
                    None => problems
                        .push(bad("a size such as 4GiB or 512MB").help("units: B, KB, MB, GB, TB, KiB, MiB, GiB, TiB")),
                },
                "serve" => match serve_hosts(&render(value)?) {
                    Some(hosts) => self.serve_hosts = hosts,
                    None => problems.push(bad("a block such as {hosts: [lake.hospital.example]}")),
                },
                "vars" => self.vars.extend(render_map(value, render)?),
                // Unknown keys are told of all targets, see `check_shape`.
                _ => {}
            }
        }
        self.keeping.read(file, block, render, problems)?;
        Ok(())
    }
}

/// The shape of the whole file, of targets that are not chosen as well: they are in use on another day, or by somebody else.
fn check_shape(file: &Path, tree: &Yaml, problems: &mut Diagnostics) {
    yaml::check_block(file, "wardlake.yml", tree, &with_keeping(&TOP_KEYS), problems);
    keeping::check_shape(file, tree, problems);
    if let Some(vars) = tree.get("vars") {
        yaml::check_block(file, "`vars`", vars, &[], problems);
    }
    let Some(targets) = tree.get("targets") else { return };
    yaml::check_block(file, "`targets`", targets, &[], problems);
    for (name, target) in targets.entries() {
        yaml::check_block(file, &format!("target `{}`", name.text), target, &with_keeping(&TARGET_KEYS), problems);
        keeping::check_shape(file, target, problems);
        if let Some(vars) = target.get("vars") {
            yaml::check_block(file, "`vars`", vars, &[], problems);
        }
        if let Some(serve) = target.get("serve") {
            yaml::check_block(file, "`serve`", serve, &SERVE_KEYS, problems);
        }
    }
}

fn with_keeping(keys: &[&'static str]) -> Vec<&'static str> {
    keys.iter().copied().chain(keeping::KEYS).collect()
}

/// What is said of a target that the file does not have.
fn absent(file: &Path, tree: &Yaml, name: &str, names: &[&str]) -> Diagnostic {
    let at = tree.get("target").map_or(tree.at, |target| target.at);
    let near = did_you_mean(name, names.iter().copied()).map(|near| format!("did you mean `{near}`? "));
    let help = match names {
        [] => "there are none; add it under `targets:`".to_owned(),
        _ => format!("{}the targets are: {}", near.unwrap_or_default(), names.join(", ")),
    };
    Diagnostic::error("WL-P004", format!("there is no target `{name}` in {}", file.display()))
        .at(file, at.line, at.column)
        .help(help)
}

/// The names of a `serve` block.
fn serve_hosts(block: &Json) -> Option<Vec<String>> {
    match block.as_object()?.get("hosts") {
        None => Some(Vec::new()),
        Some(hosts) => hosts.as_array()?.iter().map(|host| host.as_str().map(str::to_owned)).collect(),
    }
}

fn render_map(
    value: &Yaml,
    render: &mut dyn FnMut(&Yaml) -> Result<Json, Diagnostic>,
) -> Result<Map<String, Json>, Diagnostic> {
    match render(value)? {
        Json::Object(map) => Ok(map),
        _ => Ok(Map::new()),
    }
}

/// A relative path stands beside dbt_project.yml; URLs and absolute paths are taken as they are.
pub(crate) fn absolute_lake(dir: &Path, lake: &str) -> String {
    if lake.contains("://") || Path::new(lake).is_absolute() {
        lake.to_owned()
    } else {
        let path: PathBuf = dir.join(lake);
        path.components().collect::<PathBuf>().to_string_lossy().into_owned()
    }
}

fn as_u64(value: &Json) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, wanted: Option<&str>) -> Result<Target, Diagnostics> {
        let file = Path::new("wardlake.yml");
        let tree = crate::yaml::parse(file, text).unwrap().unwrap();
        Target::read(Path::new("/p"), file, &tree, wanted, true, &mut |y| Ok(y.to_json()))
    }

    #[test]
    fn the_named_target_wins_and_relative_lakes_stand_beside_the_project() {
        let text = "target: dev\nvars: {a: 1}\ntargets:\n  dev: {lake: ./data/lake}\n  prod: {lake: 's3://b/l', threads: 8, memory_limit: 4GiB, vars: {a: 2}}\n";
        let dev = read(text, None).unwrap();
        assert_eq!((dev.name.as_str(), dev.lake.as_str(), dev.threads), ("dev", "/p/data/lake", 2));
        let prod = read(text, Some("prod")).unwrap();
        assert_eq!((prod.lake.as_str(), prod.memory_limit_bytes), ("s3://b/l", Some(4 << 30)));
        assert_eq!(prod.vars["a"], json!(2));
    }

    #[test]
    fn e05_a_target_that_is_not_there_is_no_other_one() {
        let dir = Path::new("/p");
        assert_eq!(Target::without_file(dir, None).unwrap().lake, "/p/lake");
        for name in ["prod", "dev"] {
            let problem = Target::without_file(dir, Some(name)).unwrap_err().to_string();
            assert!(problem.contains(&format!("`{name}`")) && problem.contains("/p/lake"), "{problem}");
        }
        let several = "targets:\n  dev: {lake: a}\n  test: {lake: b}\n";
        for (text, wanted, says) in [
            (several, Some("prod"), "the targets are: dev, test"),
            ("vars: {a: 1}\n", Some("prod"), "there are none"),
            ("target: prod\n", None, "no target `prod`"),
            ("targets:\n  dev: {lake: a}\n  prod: {threads: 8}\n", Some("prod"), "where its lake is"),
        ] {
            let problem = read(text, wanted).unwrap_err().to_string();
            assert!(problem.contains(says), "{text}: {problem}");
        }
        assert_eq!(read("vars: {a: 1}\n", None).unwrap().lake, "/p/lake");
        assert_eq!(read("targets:\n  dev: {threads: 8}\n", Some("dev")).unwrap().lake, "/p/lake");
    }

    #[test]
    fn a_server_may_be_known_by_more_names() {
        let serving = |block: &str| read(&format!("targets:\n  prod: {{lake: x, serve: {block}}}\n"), None);
        let target = serving("{hosts: [lake.hospital.example, 10.1.2.3]}").unwrap();
        assert_eq!(target.serve_hosts, ["lake.hospital.example", "10.1.2.3"]);
        assert_eq!(serving("{}").unwrap().serve_hosts, [""; 0]);
        for (block, says) in
            [("{host: [a]}", "`host`"), ("[a]", "`serve`"), ("{hosts: a}", "`serve`"), ("{hosts: [1]}", "`serve`")]
        {
            let problem = serving(block).unwrap_err().to_string();
            assert!(problem.contains(says), "{block}: {problem}");
        }
    }

    #[test]
    fn b08_slips_are_named_in_every_target() {
        for (text, says) in [
            ("targets:\n  dev: {lake: a}\n  prod: {lake: b, memory_limits: 4GiB}\n", "`memory_limit`"),
            ("targets:\n  dev: {lake: a}\n  prod: {lake: b, serve: {host: [a]}}\n", "`hosts`"),
            ("targets:\n  dev: lake/dev\n", "target `dev` must be a mapping"),
            ("targets: [dev]\n", "`targets` must be a mapping"),
            ("- target: dev\n", "wardlake.yml must be a mapping"),
            ("vars: [a]\n", "`vars` must be a mapping"),
        ] {
            let problem = read(text, None).unwrap_err().to_string();
            assert!(problem.contains(says) && problem.contains("wardlake.yml:"), "{text}: {problem}");
        }
    }

    #[test]
    fn slips_are_named_with_their_place() {
        let error = read("targets:\n  dev: {lake: x, thread: 3}\n", Some("deb")).unwrap_err();
        assert!(error.to_string().contains("did you mean `dev`?"), "{error}");
        let error = read("targets:\n  dev:\n    lake: x\n    thread: 3\n", None).unwrap_err();
        assert!(error.to_string().contains("wardlake.yml:4:5") && error.to_string().contains("`threads`"), "{error}");
    }
}
