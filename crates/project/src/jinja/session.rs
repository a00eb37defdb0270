//! The state of one render: what was asked for, what was captured, and how names become values.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use minijinja::{
    Error, State, Value,
    value::{Enumerator, Object, ObjectRepr},
};
use serde_json::{Map, Value as Json};

use super::{
    Captured, Mode, NodeScope, RenderRequest, Resolve, Scope,
    datetime::Moment,
    functions::relation::RelationValue,
    macros::{MacroRef, PackageValue},
    registry::Registry,
    values::{PyDict, check_text, from_json, invalid, too_large},
};
use crate::Adapter;

/// Bytes a render may print. What macros within macros print counts for each of them.
const MAX_PRINTED_BYTES: usize = 128 << 20;

/// Functions and objects that are the same in every render.
pub(crate) type Globals = HashMap<&'static str, Value>;

/// One render.
pub(crate) struct Session {
    pub(crate) registry: Arc<Registry>,
    pub(crate) globals: Arc<Globals>,
    pub(crate) package: String,
    pub(crate) mode: Mode,
    pub(crate) scope: Arc<Scope>,
    pub(crate) node: Option<NodeScope>,
    pub(crate) resolve: Option<Arc<dyn Resolve>>,
    pub(crate) adapter: Option<Arc<dyn Adapter>>,
    pub(crate) first_line: usize,
    context: Map<String, Json>,
    /// Whether the last printed value is wanted, not only the text.
    pub(crate) keeps_value: bool,
    /// Whether the last macro that finished did so by `return`.
    pub(crate) has_returned: AtomicBool,
    /// Bytes printed so far, into the text and into every block that keeps its text.
    printed: AtomicUsize,
    progress: Mutex<Progress>,
    converted: Converted,
}

/// What a render has done so far.
#[derive(Default)]
pub(crate) struct Progress {
    pub(crate) captured: Captured,
    /// Value of the `return` that is on its way to its macro.
    pub(crate) returned: Option<Value>,
    /// Results of `statement` blocks by name.
    pub(crate) statements: HashMap<String, Value>,
    /// The last printed value.
    pub(crate) value: Option<Value>,
    /// The macro that loads other macros into this render.
    pub(crate) loader: Option<Value>,
    /// What the macro being loaded became.
    pub(crate) kept: Option<Value>,
    /// Loaded macros by index.
    pub(crate) loaded: HashMap<usize, Value>,
    /// Packages of the macros being loaded, innermost last.
    pub(crate) packages: Vec<String>,
}

/// Values made from JSON at their first use.
#[derive(Default)]
struct Converted {
    target: OnceLock<Value>,
    model: OnceLock<Value>,
    graph: OnceLock<Value>,
    flags: OnceLock<Value>,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("package", &self.package).field("mode", &self.mode).finish_non_exhaustive()
    }
}

/// The session within the engine's state.
struct Handle(Arc<Session>);

/// The session a function was called in.
pub(crate) fn session(state: &State<'_, '_>) -> Result<Arc<Session>, Error> {
    state.get_extension::<Handle>().map(|handle| handle.0.clone()).ok_or_else(|| invalid("the render has not begun"))
}

/// `__boot(loader)`, the first call of every render.
pub(crate) fn boot(state: &mut State<'_, '_>, loader: Value) -> Result<&'static str, Error> {
    let root = state
        .lookup("__session")
        .and_then(|value| value.downcast_object::<Root>())
        .ok_or_else(|| invalid("the render has no session"))?;
    root.0.progress().loader = Some(loader);
    state.get_or_insert_extension(Handle(root.0.clone()));
    Ok("")
}

impl Session {
    pub(crate) fn new(
        registry: Arc<Registry>,
        globals: Arc<Globals>,
        request: &RenderRequest<'_>,
        keeps_value: bool,
    ) -> Self {
        Self {
            registry,
            globals,
            package: request.package.to_owned(),
            mode: request.mode,
            scope: request.scope.clone(),
            node: request.node.cloned(),
            resolve: request.resolve.cloned(),
            adapter: request.adapter.cloned(),
            first_line: request.first_line,
            context: request.context.clone(),
            keeps_value,
            has_returned: AtomicBool::new(false),
            printed: AtomicUsize::new(0),
            progress: Mutex::default(),
            converted: Converted::default(),
        }
    }

    /// What has been done so far. Never held across a call into a template.
    pub(crate) fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts what is about to be printed. A block that prints itself twice doubles its text each time, whatever its values are.
    pub(crate) fn note_printed(&self, bytes: usize) -> Result<(), Error> {
        check_text(bytes)?;
        match self.printed.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes) > MAX_PRINTED_BYTES {
            true => Err(too_large("it printed more than 128 MiB")),
            false => Ok(()),
        }
    }

    pub(crate) fn is_executing(&self) -> bool {
        self.mode == Mode::Execute
    }

    /// The warehouse, in the pass that may ask it.
    pub(crate) fn warehouse(&self) -> Option<&Arc<dyn Adapter>> {
        self.adapter.as_ref().filter(|_| self.is_executing())
    }

    /// The package whose macros a bare name finds first: that of the macro being loaded, else the template's.
    fn lookup_package(&self) -> String {
        self.progress().packages.last().cloned().unwrap_or_else(|| self.package.clone())
    }

    pub(crate) fn note_macro(&self, unique_id: &str) {
        let mut progress = self.progress();
        if !progress.captured.macros.iter().any(|known| known == unique_id) {
            progress.captured.macros.push(unique_id.to_owned());
        }
    }

    /// A `config` value: the node's, or what this template said itself.
    pub(crate) fn config(&self, name: &str) -> Option<Json> {
        let of_node = self.node.as_ref().and_then(|node| node.config.get(name)).cloned();
        of_node.or_else(|| self.progress().captured.config.get(name).cloned())
    }

    /// A string of the model or, without one, of the target.
    fn model_or_target(&self, name: &str) -> Value {
        let of_model = self.node.as_ref().and_then(|node| node.model.get(name)).filter(|value| !value.is_null());
        of_model.or_else(|| self.scope.target.get(name)).map_or(Value::from(()), from_json)
    }

    fn model(&self) -> Value {
        let model = self
            .converted
            .model
            .get_or_init(|| self.node.as_ref().map_or_else(|| PyDict::value([]), |node| from_json(&node.model)));
        model.clone()
    }

    /// A name's value for the template.
    pub(crate) fn lookup(self: &Arc<Self>, name: &str) -> Option<Value> {
        if name.starts_with("__") {
            return match name {
                "__session" => Some(Value::from_object(Root(self.clone()))),
                _ => self.globals.get(name).cloned(),
            };
        }
        if let Some(value) = self.context.get(name) {
            return Some(from_json(value));
        }
        // Projects define these plainly for dbt; here they read less than the whole relation.
        if matches!(name, "changes" | "matching") {
            return self.globals.get(name).cloned();
        }
        let package = self.lookup_package();
        if let Some(index) = self.registry.find(&package, name) {
            return MacroRef::value(&self.registry, index);
        }
        if let Some(value) = self.variable(name) {
            return Some(value);
        }
        if let Some(value) = self.globals.get(name) {
            return Some(value.clone());
        }
        self.registry.has_package(name).then(|| Value::from_object(PackageValue { package: name.to_owned() }))
    }

    fn variable(self: &Arc<Self>, name: &str) -> Option<Value> {
        let scope = &self.scope;
        Some(match name {
            "execute" => Value::from(self.is_executing()),
            "this" => match self.node.as_ref().and_then(|node| node.this.clone()) {
                Some(relation) => RelationValue::value(relation),
                None => Value::from(()),
            },
            "target" => self.converted.target.get_or_init(|| from_json(&scope.target)).clone(),
            "model" => self.model(),
            "graph" => self.converted.graph.get_or_init(|| from_json(&scope.graph)).clone(),
            "flags" => self.converted.flags.get_or_init(|| from_json(&Json::Object(scope.flags.clone()))).clone(),
            "invocation_id" => Value::from(scope.invocation_id.as_str()),
            "run_started_at" => Value::from_object(Moment::utc(scope.run_started_at)),
            "project_name" => Value::from(scope.project_name.as_str()),
            "schema" => self.model_or_target("schema"),
            "database" => self.model_or_target("database"),
            "selected_resources" => {
                scope.flags.get("SELECTED_RESOURCES").map_or_else(|| from_json(&Json::Array(Vec::new())), from_json)
            }
            "pre_hooks" | "post_hooks" => {
                let key = if name == "pre_hooks" { "pre-hook" } else { "post-hook" };
                self.config(key)
                    .or_else(|| self.config(&key.replace('-', "_")))
                    .map_or_else(|| from_json(&Json::Array(Vec::new())), |hooks| from_json(&hooks))
            }
            "context" => Value::from_object(Root(self.clone())),
            "sql" | "compiled_code" => {
                self.node.as_ref().and_then(|node| node.model.get("compiled_code")).map(from_json)?
            }
            _ => return None,
        })
    }

    /// Every name a call could have meant.
    pub(crate) fn known_names(&self) -> Vec<String> {
        let mut names: Vec<String> =
            self.globals.keys().filter(|name| !name.starts_with("__")).map(|name| (*name).to_owned()).collect();
        for package in [self.package.as_str(), self.registry.root_package.as_str(), super::registry::DBT] {
            names.extend(self.registry.names(package).map(str::to_owned));
        }
        for package in self.registry.packages() {
            names.extend(self.registry.names(package).map(|name| format!("{package}.{name}")));
        }
        names
    }

    /// Whether the macro called last gave a value by `return`.
    pub(crate) fn last_call_returned(&self) -> bool {
        self.has_returned.load(Ordering::Relaxed)
    }
}

/// The names of a render as the engine's root context, and as `context`.
pub(crate) struct Root(pub(crate) Arc<Session>);

impl fmt::Debug for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<context>")
    }
}

impl Object for Root {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Map
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.0.lookup(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        self.0.lookup(key)
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.0.known_names().into_iter().map(Value::from).collect())
    }

    fn call_method(self: &Arc<Self>, _state: &mut State<'_, '_>, method: &str, args: &[Value]) -> Result<Value, Error> {
        match method {
            "get" => {
                let (name, default): (String, Option<Value>) = minijinja::value::from_args(args)?;
                Ok(self.0.lookup(&name).unwrap_or_else(|| default.unwrap_or(Value::from(()))))
            }
            _ => Err(Error::from(minijinja::ErrorKind::UnknownMethod)),
        }
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<context>")
    }
}
