//! `modules`: the parts of Python's `datetime`, `pytz`, `re` and `itertools` that projects use.

use std::{fmt, sync::Arc};

use minijinja::{
    Error, ErrorKind, State, Value,
    value::{Object, ObjectRepr, from_args},
};
use regex::{Captures, Regex, RegexBuilder};

use super::native::{Namespace, entry};
use crate::jinja::{
    datetime,
    session::Globals,
    values::{PyDict, PyList, invalid, items, python_str, tuple},
};

pub(super) fn add(globals: &mut Globals) {
    let modules = vec![("datetime", datetime_module()), ("pytz", pytz()), ("re", re()), ("itertools", itertools())];
    globals.insert("modules", Namespace::value("modules", modules));
}

/// A class: callable, with functions of its own.
#[derive(Debug)]
struct Class {
    name: &'static str,
    new: fn(&[Value]) -> Result<Value, Error>,
    functions: Vec<(&'static str, Value)>,
}

impl Object for Class {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let key = key.as_str()?;
        self.functions.iter().find(|(name, _)| *name == key).map(|(_, function)| function.clone())
    }

    fn call(self: &Arc<Self>, _state: &mut State<'_, '_>, args: &[Value]) -> Result<Value, Error> {
        (self.new)(args)
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<class {}>", self.name)
    }
}

fn datetime_module() -> Value {
    let class = |name, new, functions| (name, Value::from_object(Class { name, new, functions }));
    let utc = datetime::timezone(&Value::from("UTC")).unwrap_or_default();
    Namespace::value(
        "datetime",
        vec![
            class(
                "datetime",
                datetime::datetime,
                vec![
                    entry("now", |_, args| datetime::now(args)),
                    entry("today", |_, _| datetime::now(&[])),
                    entry("utcnow", |_, _| datetime::now(&[])),
                    entry("strptime", |_, args| datetime::strptime(args)),
                    entry("fromisoformat", |_, args| datetime::from_iso(args, false)),
                ],
            ),
            class(
                "date",
                datetime::date,
                vec![
                    entry("today", |_, _| Ok(datetime::today())),
                    entry("fromisoformat", |_, args| datetime::from_iso(args, true)),
                ],
            ),
            class("timedelta", datetime::timedelta, Vec::new()),
            ("timezone", Namespace::value("timezone", vec![("utc", utc)])),
        ],
    )
}

fn pytz() -> Value {
    let utc = datetime::timezone(&Value::from("UTC")).unwrap_or_default();
    let timezone = entry("timezone", |_, args| datetime::timezone(&from_args::<(Value,)>(args)?.0));
    Namespace::value("pytz", vec![timezone, ("utc", utc.clone()), ("UTC", utc)])
}

fn itertools() -> Value {
    Namespace::value(
        "itertools",
        vec![
            entry("product", |_, args| {
                let (lists, repeat) = match args.split_last() {
                    Some((last, rest)) if last.is_kwargs() => {
                        (rest, last.get_attr("repeat").ok().and_then(|n| n.as_usize()).unwrap_or(1))
                    }
                    _ => (args, 1),
                };
                let lists: Vec<Vec<Value>> = lists.iter().map(items).collect();
                product(&lists.iter().cycle().take(lists.len() * repeat).cloned().collect::<Vec<_>>())
            }),
            entry("chain", |_, args| Ok(PyList::value(args.iter().flat_map(items).collect()))),
            entry("combinations", |_, args| {
                let (list, size): (Value, usize) = from_args(args)?;
                Ok(PyList::value(combinations(&items(&list), size).into_iter().map(tuple).collect()))
            }),
            entry("zip_longest", |_, args| {
                let columns: Vec<Vec<Value>> = args.iter().filter(|arg| !arg.is_kwargs()).map(items).collect();
                let length = columns.iter().map(Vec::len).max().unwrap_or_default();
                let row = |i: usize| {
                    tuple(columns.iter().map(|column| column.get(i).cloned().unwrap_or(Value::from(()))).collect())
                };
                Ok(PyList::value((0..length).map(row).collect()))
            }),
        ],
    )
}

fn product(lists: &[Vec<Value>]) -> Result<Value, Error> {
    if lists.iter().map(Vec::len).try_fold(1usize, usize::checked_mul).is_none_or(|count| count > 1_000_000) {
        return Err(invalid("the product would have more than 1,000,000 elements"));
    }
    let mut rows: Vec<Vec<Value>> = vec![Vec::new()];
    for list in lists {
        rows = rows
            .iter()
            .flat_map(|row| list.iter().map(|item| [row.as_slice(), std::slice::from_ref(item)].concat()))
            .collect();
    }
    Ok(PyList::value(rows.into_iter().map(tuple).collect()))
}

fn combinations(list: &[Value], size: usize) -> Vec<Vec<Value>> {
    match (size, list.split_first()) {
        (0, _) => vec![Vec::new()],
        (_, None) => Vec::new(),
        (_, Some((first, rest))) => {
            let with_first = combinations(rest, size - 1).into_iter().map(|tail| [vec![first.clone()], tail].concat());
            with_first.chain(combinations(rest, size)).collect()
        }
    }
}

fn re() -> Value {
    // Where each function takes its flags.
    let functions = [("match", 2), ("fullmatch", 2), ("search", 2), ("findall", 2), ("split", 3), ("sub", 4)];
    let function = |(name, flags_at)| entry(name, move |_, args| Pattern::of(args, flags_at)?.run(name, &args[1..]));
    let mut entries: Vec<(&'static str, Value)> = functions.into_iter().map(function).collect();
    entries.push(entry("compile", |_, args| Ok(Value::from_object(Pattern::of(args, 1)?))));
    entries
        .push(entry("escape", |_, args| Ok(Value::from(regex::escape(&python_str(&from_args::<(Value,)>(args)?.0))))));
    for (name, flag) in [
        ("IGNORECASE", IGNORE_CASE),
        ("I", IGNORE_CASE),
        ("MULTILINE", MULTILINE),
        ("M", MULTILINE),
        ("DOTALL", DOT_ALL),
        ("S", DOT_ALL),
    ] {
        entries.push((name, Value::from(flag)));
    }
    Namespace::value("re", entries)
}

const IGNORE_CASE: i64 = 2;
const MULTILINE: i64 = 8;
const DOT_ALL: i64 = 16;

/// A compiled pattern.
#[derive(Clone, Debug)]
struct Pattern(Regex);

impl Pattern {
    /// The pattern of a text or of an already compiled one. Flags are the argument at `flags_at` or `flags=`.
    fn of(args: &[Value], flags_at: usize) -> Result<Self, Error> {
        let value = args.first().ok_or_else(|| Error::from(ErrorKind::MissingArgument))?;
        if let Some(compiled) = value.downcast_object_ref::<Self>() {
            return Ok(compiled.clone());
        }
        let named = args.last().filter(|last| last.is_kwargs()).and_then(|kwargs| kwargs.get_attr("flags").ok());
        let flags = named
            .as_ref()
            .filter(|flags| flags.is_number())
            .or(args.get(flags_at))
            .and_then(Value::as_i64)
            .unwrap_or_default();
        let text = python_str(value);
        let regex = RegexBuilder::new(&text)
            .case_insensitive(flags & IGNORE_CASE != 0)
            .multi_line(flags & MULTILINE != 0)
            .dot_matches_new_line(flags & DOT_ALL != 0)
            .size_limit(1 << 20)
            .build();
        regex.map(Self).map_err(|_| {
            invalid(format!(
                "the pattern {text:?} is not understood; look-around and back-references are not supported"
            ))
        })
    }

    fn run(&self, function: &str, args: &[Value]) -> Result<Value, Error> {
        let text = |index: usize| {
            args.get(index)
                .filter(|arg| !arg.is_kwargs())
                .map(python_str)
                .ok_or_else(|| Error::from(ErrorKind::MissingArgument))
        };
        let found = |captures: Option<Captures<'_>>| {
            captures.map_or(Value::from(()), |captures| Match::value(&self.0, &captures))
        };
        match function {
            "search" => Ok(found(self.0.captures(&text(0)?))),
            "match" => Ok(found(
                self.0.captures(&text(0)?).filter(|captures| captures.get(0).is_some_and(|all| all.start() == 0)),
            )),
            "fullmatch" => {
                let text = text(0)?;
                Ok(found(
                    self.0.captures(&text).filter(|captures| {
                        captures.get(0).is_some_and(|all| all.start() == 0 && all.end() == text.len())
                    }),
                ))
            }
            "findall" => {
                let text = text(0)?;
                Ok(PyList::value(self.0.captures_iter(&text).map(|captures| all_of(&captures)).collect()))
            }
            "split" => Ok(PyList::value(self.0.split(&text(0)?).map(Value::from).collect())),
            "sub" => {
                let (replacement, subject) = (text(0)?, text(1)?);
                let limit = args.get(2).and_then(Value::as_usize).unwrap_or(0);
                Ok(Value::from(self.0.replacen(&subject, limit, rust_replacement(&replacement)).into_owned()))
            }
            _ => Err(Error::from(ErrorKind::UnknownMethod)),
        }
    }
}

/// `\1` and `\g<name>` as the regex crate writes them.
fn rust_replacement(python: &str) -> String {
    let mut out = String::new();
    let mut rest = python;
    while let Some(at) = rest.find(['\\', '$']) {
        out.push_str(&rest[..at]);
        let tail = &rest[at + 1..];
        let digits = tail.chars().take_while(char::is_ascii_digit).count();
        if rest[at..].starts_with('$') {
            out.push_str("$$");
            rest = tail;
        } else if digits > 0 {
            out.push_str(&format!("${{{}}}", &tail[..digits]));
            rest = &tail[digits..];
        } else if let Some((name, after)) = tail.strip_prefix("g<").and_then(|group| group.split_once('>')) {
            out.push_str(&format!("${{{name}}}"));
            rest = after;
        } else if let Some(after) = tail.strip_prefix('n') {
            out.push('\n');
            rest = after;
        } else {
            out.push('\\');
            rest = tail.strip_prefix('\\').unwrap_or(tail);
        }
    }
    out.push_str(rest);
    out
}

/// One find of `findall`: the text, the only group, or all groups.
fn all_of(captures: &Captures<'_>) -> Value {
    let group = |index: usize| Value::from(captures.get(index).map_or("", |group| group.as_str()));
    match captures.len() {
        1 => group(0),
        2 => group(1),
        count => tuple((1..count).map(group).collect()),
    }
}

impl Object for Pattern {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn call_method(self: &Arc<Self>, _state: &mut State<'_, '_>, method: &str, args: &[Value]) -> Result<Value, Error> {
        self.run(method, args)
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "re.compile('{}')", self.0)
    }
}

/// What a pattern found.
#[derive(Debug)]
struct Match {
    groups: Vec<Option<String>>,
    names: Vec<Option<String>>,
    span: (usize, usize),
}

impl Match {
    fn value(regex: &Regex, captures: &Captures<'_>) -> Value {
        let span = captures.get(0).map_or((0, 0), |all| (all.start(), all.end()));
        Value::from_object(Self {
            groups: captures.iter().map(|group| group.map(|group| group.as_str().to_owned())).collect(),
            names: regex.capture_names().map(|name| name.map(str::to_owned)).collect(),
            span,
        })
    }

    fn group(&self, key: &Value) -> Result<Value, Error> {
        let index = key
            .as_usize()
            .or_else(|| self.names.iter().position(|name| name.as_deref() == key.as_str() && name.is_some()));
        let group = index.and_then(|index| self.groups.get(index)).ok_or_else(|| invalid("no such group"))?;
        Ok(group.as_deref().map_or(Value::from(()), Value::from))
    }
}

impl Object for Match {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.group(key).ok()
    }

    fn call_method(self: &Arc<Self>, _state: &mut State<'_, '_>, method: &str, args: &[Value]) -> Result<Value, Error> {
        let text = |group: &Option<String>| group.as_deref().map_or(Value::from(()), Value::from);
        match (method, args) {
            ("group", []) => self.group(&Value::from(0)),
            ("group", [key]) => self.group(key),
            ("group", keys) => Ok(tuple(keys.iter().map(|key| self.group(key)).collect::<Result<_, _>>()?)),
            ("groups", _) => Ok(tuple(self.groups.iter().skip(1).map(text).collect())),
            ("groupdict", _) => {
                let named = self
                    .names
                    .iter()
                    .zip(&self.groups)
                    .filter_map(|(name, group)| Some((Value::from(name.as_deref()?), text(group))));
                Ok(PyDict::value(named))
            }
            ("start", _) => Ok(Value::from(self.span.0)),
            ("end", _) => Ok(Value::from(self.span.1)),
            ("span", _) => Ok(tuple(vec![Value::from(self.span.0), Value::from(self.span.1)])),
            _ => Err(Error::from(ErrorKind::UnknownMethod)),
        }
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<re.Match span=({}, {})>", self.span.0, self.span.1)
    }
}
