//! Templates: dbt's Jinja on minijinja. Knows macros and values, nothing of files, YAML or graphs.
//!
//! A template is rewritten (`rewrite`) so that the engine runs it with Python's semantics, and rendered against a
//! `session`: one per render, shared by nobody, so that any number of threads render at once. Macros are compiled once,
//! when their file is added, and enter a render at their first call.

mod api;
mod blocks;
mod datetime;
mod error;
mod functions;
mod grammar;
mod lexer;
mod macros;
mod position;
mod registry;
mod rewrite;
mod session;
mod values;

use std::{
    borrow::Cow,
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use minijinja::{AutoEscape, Environment, Error, UndefinedBehavior, Value};
use serde_json::{Map, Value as Json};
use wardlake_core::{Diagnostic, did_you_mean};

pub use api::{
    CHANGES_SCHEMA, Captured, Changes, Lookup, MATCHING_SCHEMA, MacroDef, Mode, NodeScope, RefCall, RenderError,
    RenderRequest, Rendered, Resolve, Scope, SourceCall,
};
pub use blocks::{Block, BlockError, BlockKind, blocks};

use self::{
    position::{LineIndex, Place, expression_start},
    registry::{DBT, Registry},
    rewrite::{Rewritten, rewrite},
    session::{Globals, Root, Session, session},
    values::{python_str, to_json},
};

/// Steps of the engine a render may take. Loops over a project's whole graph stay far below; one without end stops
/// within seconds.
const FUEL: u64 = 20_000_000;

/// Put before every template: the macro that loads other macros into the render.
const PREFIX: &str = "{% macro __load(__name) %}{% include __name %}{% endmacro %}{{ __boot(__load) }}";

/// The engine's name of the template being rendered; macros have their unique id.
const TEMPLATE: &str = "template";

/// dbt's own macros.
const BUILTINS: [(&str, &str); 7] = [
    ("dbt/types.sql", include_str!("builtins/types.sql")),
    ("dbt/dates.sql", include_str!("builtins/dates.sql")),
    ("dbt/text.sql", include_str!("builtins/text.sql")),
    ("dbt/sets.sql", include_str!("builtins/sets.sql")),
    ("dbt/names.sql", include_str!("builtins/names.sql")),
    ("dbt/tests.sql", include_str!("builtins/tests.sql")),
    ("dbt/relations.sql", include_str!("builtins/relations.sql")),
];

/// The macros of a project, its packages and dbt's builtins, and the engine that runs templates with them.
pub struct Jinja {
    env: Environment<'static>,
    registry: Arc<Registry>,
    globals: Arc<Globals>,
    builtin_problems: Vec<Diagnostic>,
}

impl fmt::Debug for Jinja {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jinja").field("macros", &self.registry.macros.len()).finish_non_exhaustive()
    }
}

/// A documentation block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocBlock {
    /// Its name.
    pub name: String,
    /// Its Markdown, without the white space around it.
    pub contents: String,
    /// 1-based line of its opening tag.
    pub line: usize,
}

/// A template's outcome before it is given a shape.
struct Outcome {
    text: String,
    session: Arc<Session>,
}

impl Jinja {
    /// An engine with dbt's builtins for the root project of that name.
    pub fn new(root_package: &str) -> Self {
        let mut env = Environment::new();
        env.set_debug(false);
        env.set_undefined_behavior(UndefinedBehavior::Chainable);
        env.set_auto_escape_callback(|_| AutoEscape::None);
        env.set_fuel(Some(FUEL));
        env.set_unknown_method_callback(values::unknown_method);
        env.set_formatter(|out, state, value| {
            let text = match value.as_str() {
                Some(text) => Cow::Borrowed(text),
                None if value.is_undefined() => Cow::Borrowed(""),
                None => Cow::Owned(python_str(value)),
            };
            if let Ok(session) = session(state) {
                session.note_printed(text.len())?;
                if session.keeps_value {
                    session.progress().value = Some(value.clone());
                }
            }
            out.write_str(&text)?;
            Ok(())
        });
        functions::add_filters(&mut env);
        let mut jinja = Self {
            env,
            registry: Arc::new(Registry::new(root_package)),
            globals: Arc::new(functions::globals()),
            builtin_problems: Vec::new(),
        };
        for (path, text) in BUILTINS {
            if let Err(mut problems) = jinja.add_macro_file(DBT, Path::new(path), text) {
                jinja.builtin_problems.append(&mut problems);
            }
        }
        jinja
    }

    /// dbt_project.yml's `dispatch:`: where `adapter.dispatch(…, macro_namespace)` looks, instead of the root project and
    /// then the namespace itself.
    pub fn set_dispatch(&mut self, macro_namespace: &str, search_order: Vec<String>) {
        Arc::make_mut(&mut self.registry).set_dispatch(macro_namespace, search_order);
    }

    /// Compiles a file's macros and generic tests (as `test_<name>`); materializations are recorded, but cannot be
    /// called; docs and snapshots are left alone. With problems, the file's other macros are added all the same.
    pub fn add_macro_file(&mut self, package: &str, path: &Path, text: &str) -> Result<Vec<MacroDef>, Vec<Diagnostic>> {
        Arc::make_mut(&mut self.registry).add_file(&mut self.env, package, path, text)
    }

    /// The `{% docs %}` blocks of a Markdown file.
    pub fn add_doc_file(&self, path: &Path, text: &str) -> Result<Vec<DocBlock>, Vec<Diagnostic>> {
        let lines = LineIndex::new(text);
        let (blocks, problems) = blocks(text);
        if !problems.is_empty() {
            let diagnostic = |problem: BlockError| {
                let place = lines.place(problem.offset);
                Diagnostic::error("WL-J001", problem.message).at(path, place.line, place.column)
            };
            return Err(problems.into_iter().map(diagnostic).collect());
        }
        let docs = blocks.into_iter().filter(|block| block.kind == BlockKind::Docs);
        Ok(docs
            .map(|block| DocBlock {
                contents: text[block.body_start..block.body_end].trim().to_owned(),
                name: block.name,
                line: block.line,
            })
            .collect())
    }

    /// Every macro, dbt's builtins first, then in the order they were added.
    pub fn macros(&self) -> impl Iterator<Item = &MacroDef> {
        self.registry.macros.iter()
    }

    /// dbt's lookup: the own package, the root project, dbt's builtins.
    pub fn find_macro(&self, package: &str, name: &str) -> Option<&MacroDef> {
        self.registry.find(package, name).and_then(|index| self.registry.macros.get(index))
    }

    /// Renders a template.
    pub fn render(&self, request: &RenderRequest<'_>) -> Result<Rendered, RenderError> {
        let outcome = self.run(request, request.text, false)?;
        let captured = std::mem::take(&mut outcome.session.progress().captured);
        Ok(Rendered { text: outcome.text, captured })
    }

    /// Renders a value of a YAML file: text without tags stays as it is, one `{{ … }}` alone gives its value with its
    /// type, everything else gives text.
    pub fn render_value(&self, request: &RenderRequest<'_>, expression_or_template: &str) -> Result<Json, RenderError> {
        let trimmed = expression_or_template.trim();
        let tags = lexer::tags(trimmed);
        let is_alone = matches!(tags.as_slice(), [tag] if tag.kind == lexer::TagKind::Print && tag.start == 0 && tag.end == trimmed.len());
        if tags.is_empty()
            && !expression_or_template.contains("{%")
            && !expression_or_template.contains("{{")
            && !expression_or_template.contains("{#")
        {
            return Ok(Json::from(expression_or_template));
        }
        let outcome = self.run(request, if is_alone { trimmed } else { expression_or_template }, is_alone)?;
        let value = outcome.session.progress().value.take().filter(|_| is_alone);
        Ok(value.map_or(Json::from(outcome.text), |value| to_json(&value)))
    }

    /// Calls a macro, found as the request's package finds it; `package.name` is understood too. The request's text is
    /// not read. Gives what the macro printed and, if it ended by `return`, the value (printed as text, too).
    pub fn call_macro(
        &self,
        request: &RenderRequest<'_>,
        macro_name: &str,
        args: Vec<Json>,
        kwargs: Map<String, Json>,
    ) -> Result<(String, Option<Json>), RenderError> {
        let mut context = request.context.clone();
        let mut call = String::from(macro_name);
        call.push('(');
        for (index, value) in args.into_iter().enumerate() {
            call.push_str(&format!("wl_arg_{index}, "));
            context.insert(format!("wl_arg_{index}"), value);
        }
        for (name, value) in kwargs {
            call.push_str(&format!("{name}=wl_kwarg_{name}, "));
            context.insert(format!("wl_kwarg_{name}"), value);
        }
        call.push(')');
        let request = RenderRequest { context, first_line: request.first_line, ..copy(request) };
        let outcome = self.run(&request, &format!("{{{{ {call} }}}}"), true)?;
        let value = outcome.session.progress().value.take();
        let returned = outcome.session.last_call_returned();
        Ok((outcome.text, value.filter(|_| returned).map(|value| to_json(&value))))
    }

    fn run(&self, request: &RenderRequest<'_>, text: &str, keeps_value: bool) -> Result<Outcome, RenderError> {
        let lines = LineIndex::new(text);
        let first_line = request.first_line.max(1);
        let rewritten = rewrite(text, PREFIX, "", |offset| lines.place(offset).line + first_line - 1);
        let session = Arc::new(Session::new(self.registry.clone(), self.globals.clone(), request, keeps_value));
        let root = Value::from_object(Root(session.clone()));
        let mut out = Out::default();
        let rendered = self
            .env
            .template_from_named_str(TEMPLATE, &rewritten.text)
            .and_then(|template| template.render_captured_to(root, &mut out).map(|_| ()))
            .and_then(|()| String::from_utf8(out.0).map_err(|_| values::invalid("the text is not UTF-8")));
        match rendered {
            Ok(text) => Ok(Outcome { text, session }),
            Err(failure) => Err(self.explain(&failure, request, &session, &rewritten, &lines)),
        }
    }

    /// The diagnostic of a failed render.
    fn explain(
        &self,
        failure: &Error,
        request: &RenderRequest<'_>,
        session: &Session,
        rewritten: &Rewritten,
        lines: &LineIndex,
    ) -> Diagnostic {
        if macros::is_return(failure) {
            let place = self.locate(failure, request, rewritten, lines);
            let diagnostic = Diagnostic::error("WL-J013", "`return` ends a macro; there is none here")
                .help("print the value with `{{ … }}` instead");
            return match place {
                Some((file, place)) => diagnostic.at(file, place.line, place.column),
                None => diagnostic,
            };
        }
        let name_at = |failure: &Error| {
            let start = failure.range()?.start;
            Some(match failure.name()? {
                TEMPLATE => callee(&rewritten.text, start),
                name => callee(self.env.get_template(name).ok()?.source(), start),
            })
        };
        let names = session.known_names();
        let suggest = |name: &str| did_you_mean(name, names.iter().map(String::as_str)).map(str::to_owned);
        error::diagnostic(failure, &|failure| self.locate(failure, request, rewritten, lines), &name_at, &suggest)
    }

    fn locate(
        &self,
        failure: &Error,
        request: &RenderRequest<'_>,
        rewritten: &Rewritten,
        lines: &LineIndex,
    ) -> Option<(PathBuf, Place)> {
        if failure.name()? != TEMPLATE {
            return self.registry.locate(failure);
        }
        let mut place = match failure.range() {
            Some(range) => lines.place_of_expression(rewritten.map.original(range.start)),
            None => Place { line: failure.line()?, column: 1 },
        };
        place.line += request.first_line.max(1) - 1;
        Some((request.path.to_owned(), place))
    }
}

/// The text of a render, as far as it goes: a loop prints the text within it without any value.
#[derive(Default)]
struct Out(Vec<u8>);

impl io::Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > values::MAX_TEXT_BYTES {
            return Err(io::Error::other("the text grew too large"));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A request with the same references and an empty context.
fn copy<'a>(request: &RenderRequest<'a>) -> RenderRequest<'a> {
    RenderRequest { context: Map::new(), ..*request }
}

/// The dotted name at an offset.
fn callee(source: &str, offset: usize) -> String {
    let rest = source.get(expression_start(source, offset)..).unwrap_or_default();
    rest.chars().take_while(|c| *c == '_' || *c == '.' || c.is_alphanumeric()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn builtins_compile_and_the_engine_can_be_shared() {
        fn shared<T: Send + Sync>(_: &T) {}
        let jinja = Jinja::new("shop");
        assert_eq!(jinja.builtin_problems, []);
        shared(&jinja);
    }
}
