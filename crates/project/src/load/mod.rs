//! From files to a project, step by step: settings, macros, docs, properties, nodes, tests, links, graph.
//!
//! Each step adds what it finds wrong to one list, so that a person sees every problem of a project at once; only a
//! broken dbt_project.yml or wardlake.yml stops early, because nothing after it could be trusted.

mod declared;
mod describe;
mod drafts;
mod link;
mod parse_pass;
mod relations;
mod settings;
mod sources;
mod tests;

use std::collections::BTreeMap;

pub(crate) use settings::target;
use wardlake_core::{Diagnostic, Diagnostics, Severity, did_you_mean};

use crate::{
    AlertRules, Doc, Exposure, Graph, LoadOptions, MacroPatch, Node, Package, Source, Target, UniqueId,
    files::{self, FileKind, SourceFile, par_map},
    jinja::DocBlock,
    lookup::Lookup,
    project::Project,
    properties::{NOT_DONE, Patch, Properties},
    select::selectors::Selectors,
    templates::Templates,
};

/// Everything known so far.
pub(crate) struct Loader {
    pub(crate) options: LoadOptions,
    pub(crate) target: Target,
    pub(crate) packages: Vec<Package>,
    pub(crate) templates: Templates,
    pub(crate) files: Vec<SourceFile>,
    pub(crate) properties: Properties,
    pub(crate) docs: BTreeMap<UniqueId, Doc>,
    pub(crate) nodes: BTreeMap<UniqueId, Node>,
    pub(crate) disabled: Vec<Node>,
    pub(crate) sources: BTreeMap<UniqueId, Source>,
    pub(crate) exposures: BTreeMap<UniqueId, Exposure>,
    pub(crate) macro_patches: BTreeMap<UniqueId, MacroPatch>,
    pub(crate) lookup: Lookup,
    pub(crate) problems: Diagnostics,
    /// Entries of properties that found what they describe.
    pub(crate) used_patches: std::collections::BTreeSet<(usize, &'static str, String)>,
}

/// Reads the project in `options.dir`.
pub(crate) fn load(options: LoadOptions) -> Result<Project, Diagnostics> {
    let mut loader = settings::start(options)?;
    loader.read_files();
    loader.add_macros();
    loader.add_docs();
    loader.add_properties();
    loader.add_sources();
    loader.add_nodes();
    loader.add_exposures();
    loader.add_generic_tests();
    loader.add_macro_patches();
    loader.check_unused_patches();
    loader.check_run_hooks();
    loader.link();
    loader.check_relations();
    loader.finish()
}

impl Loader {
    pub(crate) fn root(&self) -> &str {
        &self.packages[0].name
    }

    fn package_names(&self) -> Vec<String> {
        self.packages.iter().map(|p| p.name.clone()).collect()
    }

    fn read_files(&mut self) {
        self.files = files::read_all(&self.packages, &mut self.problems);
    }

    fn files_of(&self, kind: FileKind) -> Vec<SourceFile> {
        self.files.iter().filter(|f| f.kind == kind).cloned().collect()
    }

    fn add_macros(&mut self) {
        for file in self.files_of(FileKind::Macro) {
            let package = self.packages[file.package].name.clone();
            if let Err(problems) = self.templates.jinja.add_macro_file(&package, &file.shown, &file.text) {
                self.problems.0.extend(problems);
            }
        }
    }

    fn add_docs(&mut self) {
        for file in self.files_of(FileKind::Docs) {
            if !file.text.contains("docs") {
                continue;
            }
            let package = self.packages[file.package].name.clone();
            match self.templates.jinja.add_doc_file(&file.shown, &file.text) {
                Ok(blocks) => {
                    for block in blocks {
                        self.add_doc(&file, &package, block);
                    }
                }
                Err(problems) => self.problems.0.extend(problems),
            }
        }
    }

    fn add_doc(&mut self, file: &SourceFile, package: &str, block: DocBlock) {
        let DocBlock { name, contents, line } = block;
        let unique_id = format!("doc.{package}.{name}");
        if let Some(first) = self.docs.get(&unique_id) {
            let message = format!("docs block `{name}` is written twice");
            let help = format!("the other is in {}", first.original_file_path);
            self.problems.push(Diagnostic::error("WL-P010", message).at(&file.shown, line, 1).help(help));
            return;
        }
        let doc = Doc {
            unique_id: unique_id.clone(),
            package: package.to_owned(),
            name,
            path: file.path.clone(),
            original_file_path: file.original.clone(),
            contents,
        };
        self.docs.insert(unique_id, doc);
    }

    fn add_properties(&mut self) {
        let files = self.files_of(FileKind::Properties);
        let trees = par_map(&files, |file| crate::yaml::parse(&file.shown, &file.text));
        for (file, tree) in files.iter().zip(trees) {
            match tree {
                Ok(Some(tree)) => self.properties.add(file, tree, &mut self.problems),
                Ok(None) => {}
                Err(problem) => {
                    self.lookup.note_missing_properties();
                    self.problems.push(problem);
                }
            }
        }
    }

    /// The properties of a node, marked as used.
    fn patch(&mut self, package: usize, section: &'static str, name: &str) -> Option<Patch> {
        let key = (package, section, name.to_owned());
        // A root project may describe a package's node too, as dbt allows.
        let found = self.properties.patches.get(&key).cloned().or_else(|| {
            let root_key = (0, section, name.to_owned());
            let patch = self.properties.patches.get(&root_key)?;
            let package_name = patch.body.get("package")?.scalar_text()?;
            (package_name == self.packages[package].name).then(|| patch.clone())
        })?;
        self.used_patches.insert((found.package, section, name.to_owned()));
        Some(found)
    }

    fn add_macro_patches(&mut self) {
        let patches: Vec<Patch> = self.properties.patches.values().filter(|p| p.section == "macros").cloned().collect();
        for patch in patches {
            let package = self.packages[patch.package].name.clone();
            let found = self
                .templates
                .jinja
                .find_macro(&package, &patch.name)
                .map(|m| (m.unique_id.clone(), m.package.clone()));
            match found {
                Some((unique_id, of)) if of == package => {
                    self.used_patches.insert((patch.package, "macros", patch.name.clone()));
                    let description = self.description(&package, &patch, &patch.body);
                    let macro_patch = MacroPatch {
                        description,
                        arguments: patch
                            .body
                            .get("arguments")
                            .and_then(|a| a.to_json().as_array().cloned())
                            .unwrap_or_default(),
                        meta: patch.body.get("meta").map(crate::yaml::Yaml::to_map).unwrap_or_default(),
                        patch_path: format!("{package}://{}", patch.original),
                    };
                    self.macro_patches.insert(unique_id, macro_patch);
                }
                _ => {}
            }
        }
    }

    fn check_unused_patches(&mut self) {
        let mut warnings = Vec::new();
        for (key, patch) in &self.properties.patches {
            // A disabled package's or node's description is no mistake.
            let disabled = self.disabled.iter().any(|n| n.name == patch.name);
            // Of one with versions it was said why it describes nothing.
            if self.used_patches.contains(key) || disabled || patch.versions().is_some() {
                continue;
            }
            let singular = patch.section.trim_end_matches('s');
            let warning = patch.warning(
                "WL-P013",
                format!("there is no {singular} `{}`, but it is described here", patch.name),
                patch.at,
            );
            let names: Vec<&str> = match patch.section {
                "macros" => self.templates.jinja.macros().map(|m| m.name.as_str()).collect(),
                _ => self.nodes.values().filter(|n| n.resource_type.is_refable()).map(|n| n.name.as_str()).collect(),
            };
            let elsewhere = self
                .nodes
                .values()
                .find(|n| n.name == patch.name && n.package == self.packages[patch.package].name && n.test.is_none());
            warnings.push(match (elsewhere, did_you_mean(&patch.name, names)) {
                (Some(node), _) => warning
                    .help(format!("`{}` is a {}; move the entry to that section", patch.name, node.resource_type)),
                (None, Some(near)) => warning.help(format!("did you mean `{near}`?")),
                (None, None) => warning.help("add its file, or remove the entry"),
            });
        }
        self.problems.0.extend(warnings);
    }

    /// What a project does around a whole run is not done: its author must not believe that it was.
    fn check_run_hooks(&mut self) {
        for package in &self.packages {
            let hooks = [("on-run-start", &package.on_run_start), ("on-run-end", &package.on_run_end)];
            for (kind, (_, at)) in
                hooks.into_iter().flat_map(|(kind, hooks)| hooks.iter().map(move |hook| (kind, hook)))
            {
                let warning = Diagnostic::warning(NOT_DONE, format!("this `{kind}` hook is not run"))
                    .at(package.project_file(), at.line, at.column)
                    .help("write what it checks as `expectations` or tests, and what it makes as a model; take the hook out");
                self.problems.push(warning);
            }
        }
    }

    fn finish(mut self) -> Result<Project, Diagnostics> {
        let mut parents: BTreeMap<UniqueId, Vec<UniqueId>> = BTreeMap::new();
        parents.extend(self.sources.keys().map(|id| (id.clone(), Vec::new())));
        parents.extend(self.nodes.iter().map(|(id, n)| (id.clone(), n.depends_on.nodes.clone())));
        parents.extend(self.exposures.iter().map(|(id, e)| (id.clone(), e.depends_on.nodes.clone())));
        let graph = match Graph::new(parents) {
            Ok(graph) => graph,
            Err(cycle) => {
                let problem = self.cycle(&cycle);
                self.problems.push(problem);
                Graph::default()
            }
        };
        let Package { dir, name, .. } = &self.packages[0];
        let selectors = Selectors::read(dir, &mut self.problems);
        let alerts = AlertRules::read(dir, name, &self.lookup, &mut self.problems);
        sort(&mut self.problems);
        if self.problems.has_errors() {
            return Err(self.problems);
        }
        Ok(Project::assemble(self, graph, selectors, alerts))
    }

    fn cycle(&self, cycle: &[UniqueId]) -> Diagnostic {
        let names: Vec<&str> =
            cycle.iter().map(|id| self.nodes.get(id).map_or(id.as_str(), |n| n.name.as_str())).collect();
        let problem = Diagnostic::error("WL-P017", format!("these need each other in a circle: {}", names.join(" → ")))
            .help("remove one of these refs, or split a model in two");
        match cycle.first().and_then(|id| self.nodes.get(id)) {
            Some(node) => problem.at(&node.location.file, node.location.line, node.location.column),
            None => problem,
        }
    }
}

/// Errors and warnings by place.
fn sort(problems: &mut Diagnostics) {
    problems.0.sort_by(|a, b| (&a.location, &a.code, &a.message).cmp(&(&b.location, &b.code, &b.message)));
    problems.0.dedup();
    // Errors first: what stops the work is what people must see.
    problems.0.sort_by_key(|p| p.severity != Severity::Error);
}
