//! Generic tests: one node for each entry under `tests:` and `data_tests:`.

use serde_json::{Map, Value as Json};
use wardlake_core::{Diagnostic, Location, did_you_mean};

use super::{
    Loader,
    describe::texts,
    drafts::{sha256, tests_of},
    parse_pass::Draft,
};
use crate::{
    DependsOn, Node, NodeConfig, Relation, ResourceType, TestMetadata,
    config::merge::merge,
    files::slashes,
    generic_test::TestSpec,
    jinja::{Captured, RefCall, SourceCall},
    lookup::Found,
    properties::Patch,
    yaml::{Yaml, as_bool},
};

/// What a test is on.
struct Tested<'a> {
    /// The name in the test's own: `orders`, or `<source>_<table>`.
    name: String,
    /// `ref('orders')` or `source('shop', 'orders')`.
    expression: String,
    is_source: bool,
    attached: Option<String>,
    file_key_name: String,
    patch: &'a Patch,
    package: String,
}

impl Loader {
    pub(super) fn add_generic_tests(&mut self) {
        let mut drafts = Vec::new();
        let patches: Vec<Patch> = self
            .properties
            .patches
            .values()
            .filter(|p| matches!(p.section, "models" | "seeds" | "snapshots"))
            .cloned()
            .collect();
        for patch in &patches {
            self.node_tests(patch, &mut drafts);
        }
        for patch in self.properties.sources.clone() {
            self.source_tests(&patch, &mut drafts);
        }
        self.check_repeats(&mut drafts);
        self.run_pass(&drafts);
    }

    fn node_tests(&mut self, patch: &Patch, drafts: &mut Vec<Draft>) {
        let package = self.packages[patch.package].name.clone();
        let call = RefCall { package: None, name: patch.name.clone(), version: None, line: patch.at.line };
        let Found::Here(attached) = self.lookup.find_ref(&package, &call) else { return };
        let tested = Tested {
            name: patch.name.clone(),
            expression: format!("ref('{}')", patch.name),
            is_source: false,
            attached: Some(attached),
            file_key_name: format!("{}.{}", patch.section, patch.name),
            patch,
            package,
        };
        self.tests_below(&tested, &patch.body, drafts);
    }

    fn source_tests(&mut self, patch: &Patch, drafts: &mut Vec<Draft>) {
        let package = self.packages[patch.package].name.clone();
        for table in patch.body.get("tables").map(Yaml::items).unwrap_or_default() {
            let Some(name) = table.get("name").and_then(Yaml::scalar_text) else { continue };
            let call = SourceCall { source: patch.name.clone(), table: name.clone(), line: table.at.line };
            if !matches!(self.lookup.find_source(&package, &call), Found::Here(_)) {
                continue;
            }
            let tested = Tested {
                name: format!("{}_{name}", patch.name),
                expression: format!("source('{}', '{name}')", patch.name),
                is_source: true,
                attached: None,
                file_key_name: format!("sources.{}", patch.name),
                patch,
                package: package.clone(),
            };
            self.tests_below(&tested, table, drafts);
        }
    }

    fn tests_below(&mut self, tested: &Tested<'_>, body: &Yaml, drafts: &mut Vec<Draft>) {
        let quote_columns = body.get("quote_columns").and_then(|q| as_bool(&q.to_json())).unwrap_or(false);
        for column in body.get("columns").map(Yaml::items).unwrap_or_default() {
            let Some(name) = column.get("name").and_then(Yaml::scalar_text) else { continue };
            if tests_of(column).next().is_none() {
                continue;
            }
            let quoted = column.get("quote").map_or(quote_columns, |q| as_bool(&q.to_json()).unwrap_or(false));
            let name = if quoted { format!("\"{name}\"") } else { name };
            let config = self.entry_config(&tested.package, tested.patch, column, &["tags"]);
            let tags = config.get("tags").map(texts).unwrap_or_default();
            for item in tests_of(column) {
                self.test(tested, item, Some(&name), &tags, drafts);
            }
        }
        for item in tests_of(body) {
            self.test(tested, item, None, &[], drafts);
        }
    }

    fn test(
        &mut self,
        tested: &Tested<'_>,
        item: &Yaml,
        column: Option<&str>,
        tags: &[String],
        drafts: &mut Vec<Draft>,
    ) {
        let spec = match TestSpec::read(item, column) {
            Ok(spec) => spec,
            Err(wrong) => {
                let mut problem = tested.patch.error("WL-P020", wrong.message, wrong.at);
                problem.help = wrong.help;
                self.problems.push(problem);
                return;
            }
        };
        if let Some(problem) = self.unknown_test(tested, &spec) {
            self.problems.push(problem);
            return;
        }
        let draft = self.test_draft(tested, spec, column, tags);
        drafts.push(draft);
    }

    fn unknown_test(&self, tested: &Tested<'_>, spec: &TestSpec) -> Option<Diagnostic> {
        let jinja = &self.templates.jinja;
        let package = spec.namespace.as_deref().unwrap_or(&tested.package);
        let name = format!("test_{}", spec.name);
        if jinja.find_macro(package, &name).is_some() {
            return None;
        }
        let full = spec.namespace.as_ref().map_or_else(|| spec.name.clone(), |n| format!("{n}.{}", spec.name));
        let problem = tested.patch.error("WL-P021", format!("there is no generic test `{full}`"), spec.at);
        let known: Vec<&str> = jinja.macros().filter_map(|m| m.name.strip_prefix("test_")).collect();
        let installed = spec.namespace.as_ref().is_none_or(|n| self.packages.iter().any(|p| p.name == *n));
        Some(match did_you_mean(&spec.name, known) {
            _ if !installed => problem.help(format!("package `{package}` is not in dbt_packages")),
            Some(near) => problem.help(format!("did you mean `{near}`?")),
            None => {
                problem.help(format!("add `{{% test {}(model) %}}` to a file in tests/generic or macros", spec.name))
            }
        })
    }

    fn test_draft(&mut self, tested: &Tested<'_>, spec: TestSpec, column: Option<&str>, tags: &[String]) -> Draft {
        let patch = tested.patch;
        let package = &tested.package;
        let (short, full) = spec.names(&tested.name, tested.is_source);
        let below = std::path::Path::new(&patch.original);
        let mut fqn = vec![package.clone()];
        let parent: Vec<String> = slashes(below.parent().unwrap_or(below)).split('/').map(str::to_owned).collect();
        fqn.extend(parent.into_iter().skip(1).filter(|p| !p.is_empty()));
        fqn.push(full.clone());
        let (mut base, root_layers) = self.layers(patch.package, ResourceType::Test, &fqn);
        merge(&mut base, &Map::from_iter([("tags".to_owned(), Json::from(tags.to_vec()))]));
        // What the YAML says of this one test stands above what its macro says of all.
        let mut above = vec![self.test_config(tested, &spec)];
        above.extend(root_layers);
        if short != full {
            base.entry("alias").or_insert_with(|| Json::String(short.clone()));
        }
        let mut kwargs = spec.kwargs.clone();
        kwargs.insert("model".to_owned(), Json::String(format!("{{{{ get_where_subquery({}) }}}}", tested.expression)));
        let template = spec.template(&tested.expression);
        let node = Node {
            unique_id: format!("test.{package}.{full}.{}", spec.id_hash(&full, &tested.expression)),
            resource_type: ResourceType::Test,
            alias: short.clone(),
            name: full,
            package: package.clone(),
            path: format!("{short}.sql"),
            original_file_path: patch.original.clone(),
            file: self.packages[patch.package].dir.join(&patch.original),
            raw_code: spec.raw_code(),
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
            description: spec.description.clone(),
            depends_on: DependsOn::default(),
            refs: Vec::new(),
            sources: Vec::new(),
            test: Some(TestMetadata {
                column_name: column.map(str::to_owned),
                name: spec.name.clone(),
                namespace: spec.namespace.clone(),
                kwargs,
                attached_node: tested.attached.clone(),
                file_key_name: tested.file_key_name.clone(),
            }),
            location: Location { file: patch.shown.clone(), line: spec.at.line, column: spec.at.column },
            patch_path: None,
            checksum: sha256(b""),
            index: None,
            first_line: spec.at.line,
            template: Some(template),
            has_jinja: true,
        };
        let known = self.known_calls(tested, &spec);
        Draft { node, base, above, patch: None, known }
    }

    /// dbt's own four tests call nothing but what their arguments name, so that they need no render to be linked: they
    /// are most of a project's tests.
    fn known_calls(&self, tested: &Tested<'_>, spec: &TestSpec) -> Option<Captured> {
        const BUILT_IN: [&str; 4] = ["not_null", "unique", "accepted_values", "relationships"];
        if spec.namespace.is_some() || !BUILT_IN.contains(&spec.name.as_str()) {
            return None;
        }
        let found = self.templates.jinja.find_macro(&tested.package, &format!("test_{}", spec.name))?;
        if found.package != "dbt" {
            return None;
        }
        let mut captured = Captured { macros: vec![found.unique_id.clone()], ..Captured::default() };
        add_call(&tested.expression, spec.at.line, &mut captured)?;
        for (key, value) in &spec.kwargs {
            let text = value.to_string();
            match value.as_str() {
                Some(to) if key == "to" => add_call(to, spec.at.line, &mut captured)?,
                _ if text.contains("{{") || text.contains("{%") || text.contains('(') => return None,
                _ => {}
            }
        }
        Some(captured)
    }

    fn test_config(&mut self, tested: &Tested<'_>, spec: &TestSpec) -> Map<String, Json> {
        let mut config = Map::new();
        for (key, value) in &spec.config {
            let value = match value {
                Json::String(text) if crate::templates::has_jinja(text) => {
                    let request = self.templates.request(&tested.package, &tested.patch.shown, spec.at.line, text);
                    match self.templates.jinja.render_value(&request, text) {
                        Ok(value) => value,
                        Err(problem) => {
                            self.problems.push(problem);
                            continue;
                        }
                    }
                }
                value => value.clone(),
            };
            config.insert(key.clone(), value);
        }
        config
    }

    /// The same test with the same arguments twice on one thing is an oversight dbt refuses, too.
    fn check_repeats(&mut self, drafts: &mut Vec<Draft>) {
        let mut seen = std::collections::BTreeMap::new();
        let problems = &mut self.problems;
        drafts.retain(|draft| {
            let node = &draft.node;
            match seen.get(&node.unique_id) {
                None => {
                    seen.insert(node.unique_id.clone(), node.location.clone());
                    true
                }
                Some(first) => {
                    let place = &node.location;
                    problems.push(
                        Diagnostic::error("WL-P022", format!("test `{}` is written twice", node.name))
                            .at(&place.file, place.line, place.column)
                            .help(format!("the other is at {first}; remove one, or give one a `name`")),
                    );
                    false
                }
            }
        });
    }
}

/// Reads a plain `ref('a')` or `source('a', 'b')`, with or without braces; none for anything less plain.
fn add_call(text: &str, line: usize, captured: &mut Captured) -> Option<()> {
    let text = text.trim();
    let inner = text.strip_prefix("{{").and_then(|t| t.strip_suffix("}}")).unwrap_or(text).trim();
    let (function, rest) = inner.split_once('(')?;
    let args: Vec<&str> = rest.strip_suffix(')')?.split(',').map(literal).collect::<Option<_>>()?;
    match (function.trim(), args.as_slice()) {
        ("ref", [name]) => {
            captured.refs.push(RefCall { package: None, name: (*name).to_owned(), version: None, line });
        }
        ("ref", [package, name]) => {
            captured.refs.push(RefCall {
                package: Some((*package).to_owned()),
                name: (*name).to_owned(),
                version: None,
                line,
            });
        }
        ("source", [source, table]) => {
            captured.sources.push(SourceCall { source: (*source).to_owned(), table: (*table).to_owned(), line });
        }
        _ => return None,
    }
    Some(())
}

/// The text between quotes, if there is nothing else.
fn literal(argument: &str) -> Option<&str> {
    let argument = argument.trim();
    let quote = argument.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    let inner = argument.strip_prefix(quote)?.strip_suffix(quote)?;
    (!inner.is_empty() && !inner.contains(['\'', '"', '\\'])).then_some(inner)
}
