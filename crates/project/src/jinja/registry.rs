//! All macros of the root project, its packages and dbt's builtins, and the rules by which a name finds one.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use minijinja::Environment;
use wardlake_core::Diagnostic;

use super::{
    BlockKind, MacroDef, blocks, error,
    position::{LineIndex, Place},
    rewrite::{OffsetMap, rewrite},
};

/// The package of dbt's own macros.
pub(crate) const DBT: &str = "dbt";

/// Dispatch tries `<prefix>__<macro>` in this order within each package: the adapter, the adapter it takes after, then
/// the macro every adapter can run. DuckDB's variants are not tried: they use functions the engine does not have.
const DISPATCH_PREFIXES: [&str; 3] = ["wardlake", "postgres", "default"];

/// Macros by package and name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Registry {
    pub(crate) root_package: String,
    pub(crate) macros: Vec<MacroDef>,
    by_package: HashMap<String, HashMap<String, usize>>,
    dispatch: HashMap<String, Vec<String>>,
    sources: HashMap<String, Arc<MacroSource>>,
}

/// Where a compiled macro was written.
#[derive(Debug)]
struct MacroSource {
    path: PathBuf,
    lines: Arc<LineIndex>,
    /// Offset of the macro's first byte in its file.
    base: usize,
    first_line: usize,
    map: OffsetMap,
}

impl Registry {
    pub(crate) fn new(root_package: &str) -> Self {
        Self { root_package: root_package.to_owned(), ..Self::default() }
    }

    pub(crate) fn set_dispatch(&mut self, macro_namespace: &str, search_order: Vec<String>) {
        self.dispatch.insert(macro_namespace.to_owned(), search_order);
    }

    pub(crate) fn has_package(&self, package: &str) -> bool {
        self.by_package.contains_key(package)
    }

    pub(crate) fn packages(&self) -> impl Iterator<Item = &str> {
        self.by_package.keys().map(String::as_str)
    }

    /// Names of a package's macros.
    pub(crate) fn names(&self, package: &str) -> impl Iterator<Item = &str> {
        self.by_package.get(package).into_iter().flat_map(|macros| macros.keys().map(String::as_str))
    }

    /// The macro of exactly that package.
    pub(crate) fn in_package(&self, package: &str, name: &str) -> Option<usize> {
        self.by_package.get(package)?.get(name).copied()
    }

    /// dbt's lookup: the own package, the root project, dbt's builtins.
    pub(crate) fn find(&self, package: &str, name: &str) -> Option<usize> {
        self.in_package(package, name)
            .or_else(|| self.in_package(&self.root_package, name))
            .or_else(|| self.in_package(DBT, name))
    }

    /// `adapter.dispatch(name, namespace)`: the macro, or every name that was tried.
    pub(crate) fn dispatch(&self, package: &str, name: &str, namespace: Option<&str>) -> Result<usize, Vec<String>> {
        let mut tried = Vec::new();
        let packages: Vec<&str> = match namespace {
            Some(namespace) => match self.dispatch.get(namespace) {
                Some(order) => order.iter().map(String::as_str).collect(),
                None => vec![self.root_package.as_str(), namespace],
            },
            None => vec![package, self.root_package.as_str(), DBT],
        };
        for package in packages {
            for prefix in DISPATCH_PREFIXES {
                let candidate = format!("{prefix}__{name}");
                match self.in_package(package, &candidate) {
                    Some(found) => return Ok(found),
                    None => tried.push(format!("{package}.{candidate}")),
                }
            }
        }
        Err(tried)
    }

    /// Compiles the macros and tests of a file into `env`; materializations are recorded only.
    pub(crate) fn add_file(
        &mut self,
        env: &mut Environment<'static>,
        package: &str,
        path: &Path,
        text: &str,
    ) -> Result<Vec<MacroDef>, Vec<Diagnostic>> {
        let lines = Arc::new(LineIndex::new(text));
        let (blocks, block_errors) = blocks::blocks(text);
        let mut problems: Vec<Diagnostic> = block_errors
            .into_iter()
            .map(|problem| {
                let place = lines.place(problem.offset);
                Diagnostic::error("WL-J001", problem.message).at(path, place.line, place.column)
            })
            .collect();
        let mut added = Vec::new();
        for block in blocks {
            let name = match block.kind {
                BlockKind::Macro => block.name.clone(),
                BlockKind::Test => format!("test_{}", block.name),
                BlockKind::Materialization => {
                    format!("materialization_{}_{}", block.name, adapter_of(&text[block.start..block.body_start]))
                }
                BlockKind::Snapshot | BlockKind::Docs => continue,
            };
            let def = MacroDef {
                unique_id: format!("macro.{package}.{name}"),
                package: package.to_owned(),
                name,
                path: path.to_owned(),
                line: block.line,
                code: text[block.start..block.end].to_owned(),
                arguments: block.arguments.clone(),
            };
            if let Some(first) = self.in_package(package, &def.name).and_then(|index| self.macros.get(index)) {
                problems.push(
                    Diagnostic::error("WL-J014", format!("package `{package}` defines the macro `{}` twice", def.name))
                        .at(path, block.line, lines.place(block.start).column)
                        .help(format!(
                            "the other one is in {}:{}; remove or rename one of them",
                            first.path.display(),
                            first.line
                        )),
                );
                continue;
            }
            if block.kind != BlockKind::Materialization
                && let Err(problem) = self.compile(env, &def, &lines, block.start)
            {
                problems.push(problem);
                continue;
            }
            self.by_package.entry(package.to_owned()).or_default().insert(def.name.clone(), self.macros.len());
            self.macros.push(def.clone());
            added.push(def);
        }
        if problems.is_empty() { Ok(added) } else { Err(problems) }
    }

    fn compile(
        &mut self,
        env: &mut Environment<'static>,
        def: &MacroDef,
        lines: &Arc<LineIndex>,
        base: usize,
    ) -> Result<(), Diagnostic> {
        let keep = format!("{{{{ __keep({}) }}}}", def.name);
        let rewritten = rewrite(&def.code, "", &keep, |offset| lines.place(base + offset).line);
        let source = MacroSource {
            path: def.path.clone(),
            lines: lines.clone(),
            base,
            first_line: def.line,
            map: rewritten.map,
        };
        self.sources.insert(def.unique_id.clone(), Arc::new(source));
        env.add_template_owned(def.unique_id.clone(), rewritten.text)
            .map_err(|failure| error::syntax(&failure, |found| self.locate(found)))
    }

    /// Where an error inside a macro happened.
    pub(crate) fn locate(&self, failure: &minijinja::Error) -> Option<(PathBuf, Place)> {
        let source = self.sources.get(failure.name()?)?;
        let place = match failure.range() {
            Some(range) => source.lines.place_of_expression(source.base + source.map.original(range.start)),
            None => Place { line: source.first_line + failure.line()? - 1, column: 1 },
        };
        Some((source.path.clone(), place))
    }
}

fn adapter_of(header: &str) -> &str {
    header.split_once("adapter").and_then(|(_, rest)| rest.split(['\'', '"']).nth(1)).unwrap_or("default")
}
