//! One Jinja environment with the scope every render of an invocation shares.

use std::{path::Path, sync::Arc};

use serde_json::{Map, Value as Json};
use wardlake_core::Diagnostic;

use crate::{
    jinja::{Jinja, Mode, RenderRequest, Scope},
    yaml::{Yaml, YamlValue},
};

pub(crate) struct Templates {
    pub(crate) jinja: Jinja,
    pub(crate) scope: Arc<Scope>,
}

/// Whether a text is more than itself.
pub(crate) fn has_jinja(text: &str) -> bool {
    text.contains("{{") || text.contains("{%") || text.contains("{#")
}

impl Templates {
    /// A request of the parse pass without a node.
    pub(crate) fn request<'a>(
        &'a self,
        package: &'a str,
        path: &'a Path,
        line: usize,
        text: &'a str,
    ) -> RenderRequest<'a> {
        RenderRequest {
            package,
            path,
            first_line: line,
            text,
            mode: Mode::Parse,
            scope: &self.scope,
            node: None,
            resolve: None,
            adapter: None,
            context: Map::new(),
        }
    }

    /// A YAML value with every text in it rendered; `"{{ var('x') }}"` keeps the variable's type.
    pub(crate) fn value(&self, package: &str, file: &Path, yaml: &Yaml) -> Result<Json, Diagnostic> {
        match &yaml.value {
            YamlValue::Text(text) if has_jinja(text) => self
                .jinja
                .render_value(&self.request(package, file, yaml.at.line, text), text)
                .map_err(|problem| placed(problem, file, yaml)),
            YamlValue::List(items) => {
                items.iter().map(|item| self.value(package, file, item)).collect::<Result<_, _>>().map(Json::Array)
            }
            YamlValue::Map(_) => self.map(package, file, yaml, &[]).map(Json::Object),
            _ => Ok(yaml.to_json()),
        }
    }

    /// A YAML mapping with every text in it rendered, but for the values under `verbatim` keys.
    pub(crate) fn map(
        &self,
        package: &str,
        file: &Path,
        yaml: &Yaml,
        verbatim: &[&str],
    ) -> Result<Map<String, Json>, Diagnostic> {
        yaml.entries()
            .iter()
            .map(|(key, value)| {
                let value = if verbatim.contains(&key.text.as_str()) {
                    value.to_json()
                } else {
                    self.value(package, file, value)?
                };
                Ok((key.text.clone(), value))
            })
            .collect()
    }
}

fn placed(problem: Diagnostic, file: &Path, yaml: &Yaml) -> Diagnostic {
    match problem.location {
        Some(_) => problem,
        None => problem.at(file, yaml.at.line, yaml.at.column),
    }
}
