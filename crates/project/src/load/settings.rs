//! The first step: dbt_project.yml of the project and its packages, wardlake.yml, vars.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde_json::{Map, Value as Json, json};
use wardlake_core::{Diagnostic, Diagnostics, did_you_mean};

use super::{Loader, declared};
use crate::{
    LoadOptions, Package, Target,
    jinja::{Jinja, Scope},
    lookup::Lookup,
    properties::Properties,
    target::absolute_lake,
    templates::Templates,
    yaml::{self, Yaml},
};

pub(super) fn start(options: LoadOptions) -> Result<Loader, Diagnostics> {
    let mut problems = Diagnostics::default();
    let dir = std::path::absolute(&options.dir).unwrap_or_else(|_| options.dir.clone());
    let Some(root_tree) = yaml::read(&dir.join("dbt_project.yml"), Path::new("dbt_project.yml"))? else {
        let problem = Diagnostic::error("WL-P002", format!("there is no dbt_project.yml in {}", dir.display()))
            .help("change to the project's folder, name it with --project-dir, or start one with `wardlake init`");
        return Err(problem.into());
    };
    let (mut bare, root_name) = bare(&options, Some(&root_tree));
    let target = read_target(&dir, &options, &bare, &root_name, &mut problems)?;
    if let Some(scope) = Arc::get_mut(&mut bare.scope) {
        scope.target = target.to_json(&root_name);
    }

    let mut packages = Vec::new();
    packages.extend(read_package(&dir, Path::new(""), &root_tree, &bare, &mut problems));
    let below =
        root_tree.get("packages-install-path").and_then(Yaml::scalar_text).unwrap_or_else(|| "dbt_packages".to_owned());
    for (folder, prefix) in package_folders(&dir, &below) {
        match yaml::read(&folder.join("dbt_project.yml"), &prefix.join("dbt_project.yml")) {
            Ok(Some(tree)) => packages.extend(read_package(&folder, &prefix, &tree, &bare, &mut problems)),
            Ok(None) => {}
            Err(problem) => problems.push(problem),
        }
    }
    check_names(&packages, &mut problems);
    declared::check(&dir, &below, &packages, &mut problems);
    if problems.has_errors() {
        return Err(problems);
    }
    Ok(loader(options, dir, target, packages, problems))
}

/// The chosen target alone. A dbt_project.yml that cannot be read gives wardlake.yml neither its name nor its vars.
pub(crate) fn target(options: &LoadOptions) -> Result<Target, Diagnostics> {
    let dir = std::path::absolute(&options.dir).unwrap_or_else(|_| options.dir.clone());
    let root_tree = yaml::read(&dir.join("dbt_project.yml"), Path::new("dbt_project.yml")).ok().flatten();
    let (bare, root_name) = bare(options, root_tree.as_ref());
    read_target(&dir, options, &bare, &root_name, &mut Diagnostics::default())
}

/// What renders settings, which may use `var` and `env_var` only, and the project's name.
fn bare(options: &LoadOptions, root_tree: Option<&Yaml>) -> (Templates, String) {
    let root_name = root_tree.and_then(|tree| tree.get("name")).and_then(Yaml::scalar_text).unwrap_or_default();
    let mut bare_scope = scope(options, &root_name, Json::Null, Map::new());
    if let Some(Json::Object(vars)) = root_tree.and_then(|tree| tree.get("vars")).map(Yaml::to_json) {
        bare_scope.package_vars.insert(root_name.clone(), vars);
    }
    (Templates { jinja: Jinja::new(&root_name), scope: Arc::new(bare_scope) }, root_name)
}

fn loader(
    mut options: LoadOptions,
    dir: PathBuf,
    target: Target,
    packages: Vec<Package>,
    problems: Diagnostics,
) -> Loader {
    options.dir = dir;
    let names: Vec<String> = packages.iter().map(|p| p.name.clone()).collect();
    let root = &packages[0];
    let mut scope = scope(&options, &root.name, target.to_json(&root.name), root.flags.clone());
    scope.package_vars = package_vars(&packages, &names, &target);
    let mut jinja = Jinja::new(&root.name);
    for (namespace, order) in &root.dispatch {
        jinja.set_dispatch(namespace, order.clone());
    }
    let lookup = Lookup::new(&root.name);
    Loader {
        options,
        target,
        templates: Templates { jinja, scope: Arc::new(scope) },
        packages,
        files: Vec::new(),
        properties: Properties::default(),
        docs: BTreeMap::new(),
        nodes: BTreeMap::new(),
        disabled: Vec::new(),
        sources: BTreeMap::new(),
        exposures: BTreeMap::new(),
        macro_patches: BTreeMap::new(),
        lookup,
        problems,
        used_patches: std::collections::BTreeSet::new(),
    }
}

fn read_target(
    dir: &Path,
    options: &LoadOptions,
    bare: &Templates,
    root: &str,
    problems: &mut Diagnostics,
) -> Result<Target, Diagnostics> {
    let file = Path::new("wardlake.yml");
    let mut target = match yaml::read(&dir.join(file), file)? {
        Some(tree) => {
            let (wanted, needs_lake) = (options.target.as_deref(), options.lake.is_none());
            Target::read(dir, file, &tree, wanted, needs_lake, &mut |value| bare.value(root, file, value)).map_err(
                |more| {
                    problems.0.extend(more.0);
                    std::mem::take(problems)
                },
            )?
        }
        None => Target::without_file(dir, options.target.as_deref())?,
    };
    if let Some(lake) = &options.lake {
        target.lake = absolute_lake(dir, lake);
    }
    if let Some(threads) = options.threads {
        target.threads = threads.max(1);
    }
    Ok(target)
}

fn read_package(
    dir: &Path,
    prefix: &Path,
    tree: &Yaml,
    bare: &Templates,
    problems: &mut Diagnostics,
) -> Option<Package> {
    let file = prefix.join("dbt_project.yml");
    let render = |package: &str, value: &Yaml| bare.value(package, &file, value);
    Package::read(dir.to_path_buf(), prefix.to_path_buf(), tree, &render, problems)
}

fn package_folders(dir: &Path, below: &str) -> Vec<(PathBuf, PathBuf)> {
    let Ok(entries) = fs::read_dir(dir.join(below)) else { return Vec::new() };
    let mut folders: Vec<(PathBuf, PathBuf)> = entries
        .filter_map(Result::ok)
        .filter(|entry| entry.path().is_dir())
        .map(|entry| (entry.path(), Path::new(below).join(entry.file_name())))
        .collect();
    folders.sort();
    folders
}

fn check_names(packages: &[Package], problems: &mut Diagnostics) {
    for (i, package) in packages.iter().enumerate() {
        if let Some(first) = packages[..i].iter().find(|p| p.name == package.name) {
            let message = format!("two packages are called `{}`", package.name);
            let help = format!("the other is {}", first.project_file().display());
            problems.push(Diagnostic::error("WL-P010", message).at(package.project_file(), 1, 1).help(help));
        }
    }
    // A folder config below a name that is no package does nothing, which is rarely what was meant.
    let Some(root) = packages.first() else { return };
    let names: Vec<&str> = packages.iter().map(|p| p.name.as_str()).collect();
    for (kind, tree) in &root.folder_configs {
        for (key, value) in tree {
            let is_package = names.contains(&key.as_str()) || key.starts_with('+') || !value.is_object();
            if let Some(near) = did_you_mean(key, names.iter().copied()).filter(|_| !is_package) {
                problems.push(
                    Diagnostic::warning(
                        "WL-P003",
                        format!("`{key}` under `{kind}:` is no package, so what it says is never used"),
                    )
                    .at("dbt_project.yml", 1, 1)
                    .help(format!("did you mean `{near}`?")),
                );
            }
        }
    }
}

/// Weakest first: a package's own vars, the root project's, wardlake.yml's. `--vars` stand above all of them.
fn package_vars(packages: &[Package], names: &[String], target: &Target) -> BTreeMap<String, Map<String, Json>> {
    packages
        .iter()
        .map(|package| {
            let mut vars = package.vars_for(&package.name, names);
            if package.name != packages[0].name {
                vars.extend(packages[0].vars_for(&package.name, names));
            }
            vars.extend(target.vars.clone());
            (package.name.clone(), vars)
        })
        .collect()
}

pub(crate) fn scope(options: &LoadOptions, root: &str, target: Json, project_flags: Map<String, Json>) -> Scope {
    let mut flags: Map<String, Json> =
        project_flags.into_iter().map(|(key, value)| (key.to_uppercase(), value)).collect();
    flags.insert("FULL_REFRESH".to_owned(), json!(options.full_refresh));
    flags.insert("WHICH".to_owned(), json!(options.which));
    flags.entry("STORE_FAILURES").or_insert(json!(false));
    Scope {
        project_name: root.to_owned(),
        target,
        cli_vars: options.vars.clone(),
        package_vars: BTreeMap::new(),
        env: options.env.clone(),
        invocation_id: options.invocation_id.clone(),
        run_started_at: options.run_started_at,
        flags,
        graph: json!({"nodes": {}, "sources": {}, "exposures": {}}),
        log: options.log.clone(),
    }
}
