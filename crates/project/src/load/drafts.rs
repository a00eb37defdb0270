//! Nodes before their parse pass: what their place and their properties say about them.

use std::path::Path;

use serde_json::{Map, Value as Json};
use sha2::{Digest, Sha256};
use wardlake_core::{Diagnostic, Location, hex};

use super::{
    Loader,
    parse_pass::{Draft, PassResult},
};
use crate::{
    DependsOn, Node, NodeConfig, Relation, ResourceType,
    config::merge::{folder_layers, merge},
    files::{FileKind, SourceFile, par_map},
    jinja::{BlockKind, blocks},
    naming::Naming,
    properties::Patch,
    templates::has_jinja,
    yaml::Yaml,
};

/// Seeds above this size are told apart by path alone, as dbt does.
const LARGE_SEED_BYTES: u64 = 1024 * 1024;

impl Loader {
    /// Models, seeds, snapshots, singular tests, analyses and run hooks.
    pub(super) fn add_nodes(&mut self) {
        let mut drafts = Vec::new();
        for file in std::mem::take(&mut self.files) {
            match file.kind {
                FileKind::Model => {
                    drafts.push(self.draft(&file, ResourceType::Model, "models", &file.text, (1, 1), None))
                }
                FileKind::Seed => drafts.push(self.seed(&file)),
                FileKind::Snapshot => self.snapshots(&file, &mut drafts),
                FileKind::SingularTest => {
                    drafts.push(self.draft(&file, ResourceType::Test, "data_tests", &file.text, (1, 1), None));
                }
                FileKind::Analysis => {
                    drafts.push(self.draft(&file, ResourceType::Analysis, "analyses", &file.text, (1, 1), None));
                }
                FileKind::Macro | FileKind::Docs | FileKind::Properties => {}
            }
        }
        self.yaml_snapshots(&mut drafts);
        self.operations(&mut drafts);
        self.run_pass(&drafts);
    }

    /// Renders all drafts on the machine's cores and keeps what comes out.
    pub(super) fn run_pass(&mut self, drafts: &[Draft]) {
        let results: Vec<PassResult> = {
            let names = self.package_names();
            let naming = Naming::new(&self.templates, &self.target, self.root(), &names);
            par_map(drafts, |draft| draft.run(&self.templates, &naming))
        };
        for (result, draft) in results.into_iter().zip(drafts) {
            self.problems.0.extend(result.problems);
            match result.node {
                Some(node) => self.keep(node),
                None => self.lookup.add_broken_node(&draft.node.name),
            }
        }
    }

    fn keep(&mut self, node: Node) {
        if !node.config.enabled {
            if node.resource_type.is_refable() {
                self.lookup.add_disabled_node(&node.package, &node.name);
            }
            self.disabled.push(node);
            return;
        }
        let clash = self.nodes.get(&node.unique_id).or_else(|| {
            // Models, seeds and snapshots share one name space, since `ref` does not say which it means.
            let kinds = [ResourceType::Model, ResourceType::Seed, ResourceType::Snapshot];
            kinds
                .into_iter()
                .filter(|_| node.resource_type.is_refable())
                .find_map(|kind| self.nodes.get(&format!("{kind}.{}.{}", node.package, node.name)))
        });
        if let Some(first) = clash {
            let place = &first.location;
            let message = format!("there are two nodes called `{}` in package `{}`", node.name, node.package);
            let help = format!("the other is {place}; rename one of them");
            let problem = Diagnostic::error("WL-P010", message).help(help);
            self.problems.push(problem.at(&node.location.file, node.location.line, node.location.column));
            return;
        }
        self.lookup.add_node(&node);
        self.nodes.insert(node.unique_id.clone(), node);
    }

    /// A draft of a file, or of a part of it that starts at `place` and is called `name`.
    fn draft(
        &mut self,
        file: &SourceFile,
        kind: ResourceType,
        section: &'static str,
        code: &str,
        place: (usize, usize),
        name: Option<&str>,
    ) -> Draft {
        let stem = Path::new(&file.path).file_stem().and_then(|s| s.to_str()).unwrap_or_default().to_owned();
        let name = name.unwrap_or(&stem).to_owned();
        let package = self.packages[file.package].name.clone();
        let mut fqn = vec![package.clone()];
        fqn.extend(Path::new(&file.path).parent().into_iter().flat_map(Path::components).map(part));
        if kind == ResourceType::Analysis {
            fqn.insert(1, "analysis".to_owned());
        }
        if kind == ResourceType::Snapshot && file.path.ends_with(".sql") {
            // dbt puts the file's name into a snapshot's fqn, because one file may hold several.
            fqn.push(stem);
        }
        fqn.push(name.clone());
        let patch = self.patch(file.package, section, &name);
        let node = Node {
            unique_id: format!("{kind}.{package}.{name}"),
            resource_type: kind,
            alias: name.clone(),
            name,
            package,
            path: file.path.clone(),
            original_file_path: file.original.clone(),
            file: file.file.clone(),
            raw_code: code.trim().to_owned(),
            schema: String::new(),
            relation: Relation { database: None, schema: None, identifier: String::new(), kind: None },
            fqn,
            tags: Vec::new(),
            meta: Map::new(),
            config: NodeConfig::default(),
            audit: None,
            kpi: None,
            identity: None,
            trimmed_to: None,
            columns: Vec::new(),
            description: String::new(),
            depends_on: DependsOn::default(),
            refs: Vec::new(),
            sources: Vec::new(),
            test: None,
            location: Location { file: file.shown.clone(), line: place.0, column: place.1 },
            patch_path: None,
            checksum: sha256(code.trim().as_bytes()),
            index: None,
            first_line: place.0 + leading_lines(code),
            template: None,
            has_jinja: has_jinja(code),
        };
        self.described(file.package, node, patch)
    }

    /// Adds description, columns and the layers of configuration.
    fn described(&mut self, package: usize, mut node: Node, patch: Option<Patch>) -> Draft {
        let mut layer = Map::new();
        if let Some(patch) = &patch {
            let name = node.package.clone();
            node.description = self.description(&name, patch, &patch.body);
            node.columns = self.columns(&name, patch, &patch.body);
            node.patch_path = Some(format!("{}://{}", self.packages[patch.package].name, patch.original));
            layer = self.entry_config(&name, patch, &patch.body, &["meta", "tags", "docs", "access", "group"]);
        }
        let (below, above) = self.layers(package, node.resource_type, &node.fqn);
        let mut base = below;
        merge(&mut base, &layer);
        Draft { node, base, above, patch, known: None }
    }

    /// Folder configs: those of the node's own package, below its properties, and those of the root project for a
    /// package's node, above everything the package says.
    pub(super) fn layers(
        &self,
        package: usize,
        kind: ResourceType,
        fqn: &[String],
    ) -> (Map<String, Json>, Vec<Map<String, Json>>) {
        let section = match kind {
            ResourceType::Model => "models",
            ResourceType::Seed => "seeds",
            ResourceType::Snapshot => "snapshots",
            ResourceType::Test => "tests",
            ResourceType::Source => "sources",
            ResourceType::Exposure => "exposures",
            ResourceType::Analysis => "analyses",
            ResourceType::Operation => return (Map::new(), Vec::new()),
        };
        let of = |index: usize| -> Vec<Map<String, Json>> {
            self.packages[index].folder_configs.get(section).map(|tree| folder_layers(tree, fqn)).unwrap_or_default()
        };
        let mut below = Map::new();
        of(package).iter().for_each(|layer| merge(&mut below, layer));
        (below, if package == 0 { Vec::new() } else { of(0) })
    }

    fn seed(&mut self, file: &SourceFile) -> Draft {
        let mut draft = self.draft(file, ResourceType::Seed, "seeds", "", (1, 1), None);
        let size = std::fs::metadata(&file.file).map(|m| m.len()).unwrap_or_default();
        let bytes = (size <= LARGE_SEED_BYTES).then(|| std::fs::read(&file.file));
        draft.node.checksum = match bytes {
            Some(Ok(bytes)) => sha256(&bytes),
            _ => sha256(file.original.as_bytes()),
        };
        draft
    }

    /// The `{% snapshot %}` blocks of a file, which may hold several.
    fn snapshots(&mut self, file: &SourceFile, drafts: &mut Vec<Draft>) {
        let (blocks, problems) = blocks(&file.text);
        for problem in problems {
            let (line, column) = place(&file.text, problem.offset);
            self.problems.push(Diagnostic::error("WL-P024", problem.message).at(&file.shown, line, column));
        }
        for block in blocks.into_iter().filter(|block| block.kind == BlockKind::Snapshot) {
            let body = &file.text[block.body_start..block.body_end];
            let at = place(&file.text, block.start);
            let mut draft = self.draft(file, ResourceType::Snapshot, "snapshots", body, at, Some(&block.name));
            draft.node.first_line = place(&file.text, block.body_start).0 + leading_lines(body);
            drafts.push(draft);
        }
    }

    /// Snapshots that exist in YAML only: `relation:` says what they watch.
    fn yaml_snapshots(&mut self, drafts: &mut Vec<Draft>) {
        let patches: Vec<Patch> = self
            .properties
            .patches
            .values()
            .filter(|p| p.section == "snapshots" && p.body.get("relation").is_some())
            .cloned()
            .collect();
        for patch in patches {
            let Some(relation) = patch.body.get("relation") else { continue };
            let Some(text) = relation.as_str() else {
                self.problems.push(patch.error(
                    "WL-P005",
                    "`relation` must be a ref or a source, such as ref('orders')",
                    relation.at,
                ));
                continue;
            };
            let inner = text.trim().trim_start_matches("{{").trim_end_matches("}}").trim();
            let code = format!("select * from {{{{ {inner} }}}}");
            let package = &self.packages[patch.package];
            let file = SourceFile {
                kind: FileKind::Snapshot,
                package: patch.package,
                path: patch.path.clone(),
                original: patch.original.clone(),
                shown: patch.shown.clone(),
                file: package.dir.join(&patch.original),
                text: String::new(),
            };
            let place = (patch.at.line, patch.at.column);
            let mut draft = self.draft(&file, ResourceType::Snapshot, "snapshots", &code, place, Some(&patch.name));
            draft.node.first_line = relation.at.line;
            drafts.push(draft);
        }
    }

    fn operations(&mut self, drafts: &mut Vec<Draft>) {
        for index in 0..self.packages.len() {
            let package = &self.packages[index];
            let (name, shown, dir) = (package.name.clone(), package.project_file(), package.dir.clone());
            let kinds = [("on-run-start", package.on_run_start.clone()), ("on-run-end", package.on_run_end.clone())];
            for (kind, hooks) in kinds {
                for (i, (sql, at)) in hooks.iter().enumerate() {
                    let file = SourceFile {
                        kind: FileKind::Analysis,
                        package: index,
                        path: format!("hooks/{name}-{kind}-{i}.sql"),
                        original: "dbt_project.yml".to_owned(),
                        shown: shown.clone(),
                        file: dir.join("dbt_project.yml"),
                        text: String::new(),
                    };
                    let place = (at.line, at.column);
                    let hook = format!("{name}-{kind}-{i}");
                    let mut draft = self.draft(&file, ResourceType::Operation, "operations", sql, place, Some(&hook));
                    draft.node.index = Some(i);
                    draft.base.insert("tags".to_owned(), Json::Array(vec![Json::from(kind)]));
                    drafts.push(draft);
                }
            }
        }
    }
}

fn part(component: std::path::Component<'_>) -> String {
    component.as_os_str().to_string_lossy().into_owned()
}

/// Blank lines a trim takes away, so that messages still name the file's own lines.
fn leading_lines(code: &str) -> usize {
    code[..code.len() - code.trim_start().len()].matches('\n').count()
}

/// Line and column, from 1, of a byte offset.
fn place(text: &str, offset: usize) -> (usize, usize) {
    let before = &text[..offset];
    let line_start = before.rfind('\n').map_or(0, |i| i + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

pub(super) fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Whether an entry has any test at all.
pub(super) fn tests_of(body: &Yaml) -> impl Iterator<Item = &Yaml> {
    ["tests", "data_tests"].into_iter().filter_map(|key| body.get(key)).flat_map(Yaml::items)
}
