//! dbt's first pass over one node: `execute` is false, calls to `ref`, `source` and `config` are noted.

use serde_json::{Map, Value as Json};
use wardlake_core::{Diagnostic, Location};

use crate::{
    Node, NodeConfig,
    audit::{Audit, AuditProblem, Check, IDENTITY, Identity, Kpi, RelationCall, misplaced},
    config::merge::merge,
    jinja::{Captured, NodeScope, RenderRequest},
    naming::Naming,
    node_json,
    properties::{NOT_DONE, Patch},
    templates::{Templates, has_jinja},
};

/// A node that waits for its parse pass.
pub(super) struct Draft {
    pub(super) node: Node,
    /// Folder configs and properties, weakest first, merged.
    pub(super) base: Map<String, Json>,
    /// The root project's folder configs for a package's node: above `config()`.
    pub(super) above: Vec<Map<String, Json>>,
    /// Its properties: where a wrong config may stand.
    pub(super) patch: Option<Patch>,
    /// What a render would capture, where that is known without one.
    pub(super) known: Option<Captured>,
}

/// What a pass gives.
pub(super) struct PassResult {
    pub(super) node: Option<Node>,
    pub(super) problems: Vec<Diagnostic>,
}

impl Draft {
    pub(super) fn run(&self, templates: &Templates, naming: &Naming<'_>) -> PassResult {
        let mut problems = Vec::new();
        let mut node = self.node.clone();
        let code = node.template.clone().unwrap_or_else(|| node.raw_code.clone());
        let needs_render = node.template.is_some() || node.has_jinja;
        let captured = if let Some(known) = &self.known {
            known.clone()
        } else if needs_render {
            match self.render(templates, &node, &code) {
                Ok(captured) => captured,
                Err(problem) => {
                    // What is switched off from outside need not be right.
                    if self.base.get("enabled").and_then(crate::yaml::as_bool) != Some(false) {
                        return PassResult { node: None, problems: vec![problem] };
                    }
                    Captured::default()
                }
            }
        } else {
            Captured::default()
        };
        self.configure(&mut node, captured.config, &mut problems);
        node.refs = unique(captured.refs, |r| (r.package.clone(), r.name.clone(), r.version.clone()));
        node.sources = unique(captured.sources, |s| (s.source.clone(), s.table.clone()));
        node.depends_on.macros = unique(captured.macros, Clone::clone);
        Self::audited_relations(&mut node);
        self.hooks(templates, &mut node, &mut problems);
        if let Err(problem) = naming.apply(&mut node) {
            problems.push(problem);
        }
        PassResult { node: Some(node), problems }
    }

    fn render(&self, templates: &Templates, node: &Node, code: &str) -> Result<Captured, Diagnostic> {
        let mut config = self.base.clone();
        self.above.iter().for_each(|layer| merge(&mut config, layer));
        let scope = NodeScope {
            unique_id: node.unique_id.clone(),
            model: Json::Object(node_json::brief(node)),
            this: Some(crate::Relation {
                database: None,
                schema: Some(String::new()),
                identifier: node.name.clone(),
                kind: None,
            }),
            config,
            is_incremental: false,
        };
        let request = RenderRequest {
            node: Some(&scope),
            ..templates.request(&node.package, &node.location.file, node.first_line, code)
        };
        let place = &node.location;
        templates.jinja.render(&request).map(|rendered| rendered.captured).map_err(|problem| match problem.location {
            Some(_) => problem,
            None => problem.at(&place.file, place.line, place.column),
        })
    }

    fn configure(&self, node: &mut Node, in_file: Map<String, Json>, problems: &mut Vec<Diagnostic>) {
        let mut config = self.base.clone();
        merge(&mut config, &in_file);
        self.above.iter().for_each(|layer| merge(&mut config, layer));
        let (config, wrong) = NodeConfig::read(config, node.resource_type);
        for problem in wrong {
            let mut diagnostic = match problem.is_error {
                true => Diagnostic::error("WL-P018", format!("{}: {}", node.name, problem.message)),
                false => Diagnostic::warning("WL-P019", format!("{}: {}", node.name, problem.message)),
            };
            diagnostic.help = problem.help;
            problems.push(self.place(diagnostic, &problem.key, &in_file, node));
        }
        let contract = config.raw.get("contract").and_then(|contract| contract.get("enforced"));
        if config.enabled && contract.and_then(crate::yaml::as_bool) == Some(true) {
            let diagnostic = Diagnostic::warning(NOT_DONE, format!("the contract of `{}` is not enforced", node.name))
                .help("write what it promises as `expectations` (`not_null`, `typed`, `unique_in`, …); take `contract` out");
            problems.push(self.place(diagnostic, "contract", &in_file, node));
        }
        let (audit, mut wrong) = Audit::read(&config.wardlake);
        wrong.extend(misplaced(&config.raw, &config.meta));
        let (identity, of_identity) = Identity::read(&config.wardlake, || self.audit_location(IDENTITY, None, node));
        wrong.extend(of_identity);
        node.identity = identity.map(Box::new);
        for problem in wrong {
            let mut diagnostic = Diagnostic::error("WL-P026", format!("{}: {}", node.name, problem.message));
            diagnostic.help.clone_from(&problem.help);
            problems.push(self.place_in_audit(diagnostic, &problem, node));
        }
        node.audit = audit.map(Box::new);
        match Kpi::read(&config.wardlake) {
            Ok(kpi) => node.kpi = kpi,
            Err(problem) => {
                let mut diagnostic = Diagnostic::error("WL-P026", format!("{}: {}", node.name, problem.message));
                diagnostic.help.clone_from(&problem.help);
                problems.push(self.place_in_audit(diagnostic, &problem, node));
            }
        }
        node.tags.clone_from(&config.tags);
        node.meta.clone_from(&config.meta);
        node.config = config;
    }

    /// A config's own line: in the file's `config()`, in the properties, or else the node's.
    fn place(&self, diagnostic: Diagnostic, key: &str, in_file: &Map<String, Json>, node: &Node) -> Diagnostic {
        if in_file.contains_key(key)
            && let Some((line, column)) = find_word(&node.raw_code, key, node.first_line)
        {
            return diagnostic.at(&node.location.file, line, column);
        }
        let config = self.patch.as_ref().and_then(|p| p.body.get("config").map(|c| (p, c)));
        if let Some((patch, config)) = config
            && let Some((key, _)) = config.entries().iter().find(|(k, _)| k.text == key)
        {
            return diagnostic.at(&patch.shown, key.at.line, key.at.column);
        }
        diagnostic.at(&node.location.file, node.location.line, node.location.column)
    }

    fn place_in_audit(&self, diagnostic: Diagnostic, problem: &AuditProblem, node: &Node) -> Diagnostic {
        let Location { file, line, column } = self.audit_location(&problem.section, problem.index, node);
        diagnostic.at(file, line, column)
    }

    /// The line of an entry of `config.meta.wardlake`, where the properties hold it.
    fn audit_location(&self, section: &str, index: Option<usize>, node: &Node) -> Location {
        let found = self.patch.as_ref().and_then(|patch| {
            let config = patch.body.get("config");
            let meta = config.and_then(|config| config.get("meta")).or_else(|| patch.body.get("meta"));
            let block = meta.and_then(|meta| meta.get("wardlake"));
            // The section may also stand where it does not belong: beside the block, or beside `meta`.
            let (key, value) = [block, meta, config]
                .into_iter()
                .flatten()
                .find_map(|level| level.entries().iter().find(|(key, _)| key.text == section))?;
            let at = index.and_then(|index| value.items().get(index)).map_or(key.at, |item| item.at);
            Some((&patch.shown, at))
        });
        if let Some((file, at)) = found {
            return Location { file: file.into(), line: at.line, column: at.column };
        }
        // The code of a generic test is made up.
        let in_file = node.template.is_none().then(|| find_word(&node.raw_code, section, node.first_line));
        let (line, column) = in_file.flatten().unwrap_or((node.location.line, node.location.column));
        Location { file: node.location.file.clone(), line, column }
    }

    /// What expectations ask of other relations are refs like any other.
    fn audited_relations(node: &mut Node) {
        let Some(audit) = &node.audit else { return };
        let calls = audit.rules.iter().filter_map(|rule| match &rule.check {
            Check::ExistsIn { to, .. } => Some(to),
            _ => None,
        });
        for call in calls.chain(&audit.input) {
            match call {
                RelationCall::Ref(call) => node.refs.push(call.clone()),
                RelationCall::Source(call) => node.sources.push(call.clone()),
            }
        }
        node.refs = unique(std::mem::take(&mut node.refs), |r| (r.package.clone(), r.name.clone(), r.version.clone()));
        node.sources = unique(std::mem::take(&mut node.sources), |s| (s.source.clone(), s.table.clone()));
    }

    /// Refs inside hooks count as the node's own.
    fn hooks(&self, templates: &Templates, node: &mut Node, problems: &mut Vec<Diagnostic>) {
        let hooks: Vec<String> = node
            .config
            .pre_hooks
            .iter()
            .chain(&node.config.post_hooks)
            .filter(|hook| has_jinja(&hook.sql))
            .map(|hook| hook.sql.clone())
            .collect();
        for sql in hooks {
            match self.render(templates, node, &sql) {
                Ok(captured) => {
                    node.refs.extend(captured.refs);
                    node.sources.extend(captured.sources);
                    node.depends_on.macros.extend(captured.macros);
                    node.refs = unique(std::mem::take(&mut node.refs), |r| {
                        (r.package.clone(), r.name.clone(), r.version.clone())
                    });
                    node.sources = unique(std::mem::take(&mut node.sources), |s| (s.source.clone(), s.table.clone()));
                    node.depends_on.macros = unique(std::mem::take(&mut node.depends_on.macros), Clone::clone);
                }
                Err(problem) => problems.push(problem),
            }
        }
    }
}

/// The first of each, in order.
pub(super) fn unique<T, K: Ord>(items: Vec<T>, key: impl Fn(&T) -> K) -> Vec<T> {
    let mut seen = std::collections::BTreeSet::new();
    items.into_iter().filter(|item| seen.insert(key(item))).collect()
}

/// Line and column of a word in a text whose first line is `first_line` of its file.
pub(super) fn find_word(text: &str, word: &str, first_line: usize) -> Option<(usize, usize)> {
    text.lines().enumerate().find_map(|(i, line)| Some((first_line + i, line[..line.find(word)?].chars().count() + 1)))
}
