//! `wardlake.yml`: where the lake of each target is, and how much of the machine a run may use.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value as Json, json};
use wardlake_core::{Diagnostic, Diagnostics, did_you_mean};

use crate::yaml::{self, Yaml};

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
    /// `vars:` of the file, the target's own over the common ones.
    pub vars: Map<String, Json>,
}

/// The catalog's name in artifacts and in `target.database`.
pub const DATABASE: &str = "lake";

const TOP_KEYS: [&str; 3] = ["target", "targets", "vars"];
const TARGET_KEYS: [&str; 6] = ["lake", "schema", "threads", "memory_limit", "vars", "meta"];

impl Target {
    /// The target of a project without wardlake.yml: a folder `lake` beside dbt_project.yml.
    pub(crate) fn fallback(dir: &Path, name: Option<&str>) -> Self {
        Self {
            name: name.unwrap_or("dev").to_owned(),
            lake: dir.join("lake").to_string_lossy().into_owned(),
            schema: "main".to_owned(),
            threads: 2,
            memory_limit_bytes: None,
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

    /// Reads the chosen target. `render` turns a value with Jinja in it into the value it stands for.
    pub(crate) fn read(
        dir: &Path,
        file: &Path,
        tree: &Yaml,
        wanted: Option<&str>,
        render: &mut dyn FnMut(&Yaml) -> Result<Json, Diagnostic>,
    ) -> Result<Self, Diagnostics> {
        let mut problems = Diagnostics::default();
        for (key, _) in tree.entries() {
            if !TOP_KEYS.contains(&key.text.as_str()) {
                problems.push(yaml::unknown_key(file, key, &TOP_KEYS));
            }
        }
        let mut target = Self::fallback(dir, None);
        if let Some(vars) = tree.get("vars") {
            target.vars.extend(render_map(vars, render)?);
        }
        let targets = tree.get("targets");
        let names: Vec<&str> =
            targets.map(Yaml::entries).unwrap_or_default().iter().map(|(k, _)| k.text.as_str()).collect();
        let default = match tree.get("target") {
            Some(value) => render(value)?.as_str().map(str::to_owned),
            None => None,
        };
        let name = match wanted.map(str::to_owned).or(default) {
            Some(name) => name,
            None => names.first().unwrap_or(&"dev").to_string(),
        };
        target.name.clone_from(&name);
        let Some(block) = targets.and_then(|t| t.get(&name)) else {
            if targets.is_none() && wanted.is_none() {
                return Ok(target);
            }
            let at = tree.get("target").map_or(tree.at, |t| t.at);
            let help = match did_you_mean(&name, names.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None if names.is_empty() => "add it under `targets:`".to_owned(),
                None => format!("the targets are: {}", names.join(", ")),
            };
            problems.push(
                Diagnostic::error("WL-P004", format!("there is no target `{name}` in wardlake.yml"))
                    .at(file, at.line, at.column)
                    .help(help),
            );
            return Err(problems);
        };
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
                "memory_limit" => match parse_bytes(&render(value)?) {
                    Some(n) => self.memory_limit_bytes = Some(n),
                    None => problems
                        .push(bad("a size such as 4GiB or 512MB").help("units: B, KB, MB, GB, TB, KiB, MiB, GiB, TiB")),
                },
                "vars" => self.vars.extend(render_map(value, render)?),
                "meta" => {}
                _ => problems.push(yaml::unknown_key(file, key, &TARGET_KEYS)),
            }
        }
        Ok(())
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

fn parse_bytes(value: &Json) -> Option<u64> {
    if let Some(n) = value.as_u64() {
        return Some(n);
    }
    let text = value.as_str()?.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let number: f64 = text[..digits].parse().ok()?;
    let unit = match text[digits..].trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1.0,
        "kb" => 1e3,
        "mb" => 1e6,
        "gb" => 1e9,
        "tb" => 1e12,
        "k" | "kib" => 1024.0,
        "m" | "mib" => 1024.0 * 1024.0,
        "g" | "gib" => 1024.0 * 1024.0 * 1024.0,
        "t" | "tib" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
        _ => return None,
    };
    Some((number * unit) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, wanted: Option<&str>) -> Result<Target, Diagnostics> {
        let file = Path::new("wardlake.yml");
        let tree = crate::yaml::parse(file, text).unwrap().unwrap();
        Target::read(Path::new("/p"), file, &tree, wanted, &mut |y| Ok(y.to_json()))
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
    fn slips_are_named_with_their_place() {
        let error = read("targets:\n  dev: {lake: x, thread: 3}\n", Some("deb")).unwrap_err();
        assert!(error.to_string().contains("did you mean `dev`?"), "{error}");
        let error = read("targets:\n  dev:\n    lake: x\n    thread: 3\n", None).unwrap_err();
        assert!(error.to_string().contains("wardlake.yml:4:5") && error.to_string().contains("`threads`"), "{error}");
    }
}
