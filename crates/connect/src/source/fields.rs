//! Takes known keys out of a JSON object one by one and collects every problem instead of stopping at the first.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use wardlake_core::did_you_mean;

/// One setting that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigProblem {
    /// Dotted path of the setting within the block: `format.delimiter`.
    pub path: String,
    /// What is wrong, in one sentence.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
}

/// Reads a block, and adds what is wrong with it, each setting with its whole path.
type ReadBlock<T> = fn(Map<String, Value>, &mut Vec<ConfigProblem>) -> Option<T>;

/// The unread settings of one block.
pub(crate) struct Fields<'a> {
    prefix: &'static str,
    values: Map<String, Value>,
    known: Vec<&'static str>,
    problems: &'a mut Vec<ConfigProblem>,
    /// What is wrong within blocks: it comes behind what is wrong beside them.
    within: Vec<ConfigProblem>,
}

impl<'a> Fields<'a> {
    pub(crate) fn new(prefix: &'static str, values: Map<String, Value>, problems: &'a mut Vec<ConfigProblem>) -> Self {
        Self { prefix, values, known: Vec::new(), problems, within: Vec::new() }
    }

    /// The keys that were asked for so far.
    #[cfg(test)]
    pub(crate) fn known(&self) -> &[&'static str] {
        &self.known
    }

    /// Whether `key` is there and not null; to be asked before it is taken.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.values.get(key).is_some_and(|value| !value.is_null())
    }

    /// The raw value of `key`; null counts as absent.
    pub(crate) fn raw(&mut self, key: &'static str) -> Option<Value> {
        self.known.push(key);
        self.values.shift_remove(key).filter(|value| !value.is_null())
    }

    /// The value of `key` if it is present and of the right shape. `expected` completes "must be …".
    pub(crate) fn take<T: DeserializeOwned>(&mut self, key: &'static str, expected: &str) -> Option<T> {
        let value = self.raw(key)?;
        match serde_json::from_value(value) {
            Ok(value) => Some(value),
            Err(_) => {
                self.problem(key, format!("must be {expected}"), None);
                None
            }
        }
    }

    /// A block of settings of its own, which `read` reads.
    pub(crate) fn block<T>(&mut self, key: &'static str, read: ReadBlock<T>) -> Option<T> {
        match self.raw(key)? {
            Value::Object(block) => read(block, &mut self.within),
            _ => {
                self.problem(key, "must be a block of settings".to_owned(), None);
                None
            }
        }
    }

    /// The same where `true` is short for a block without settings, and `false` for none.
    pub(crate) fn block_or_true<T>(&mut self, key: &'static str, read: ReadBlock<T>) -> Option<T> {
        match self.raw(key)? {
            Value::Bool(false) => None,
            Value::Bool(true) => read(Map::new(), &mut self.within),
            Value::Object(block) => read(block, &mut self.within),
            _ => {
                self.problem(key, "must be a block of settings, or `true`".to_owned(), None);
                None
            }
        }
    }

    /// One text or a list of texts.
    pub(crate) fn texts(&mut self, key: &'static str) -> Option<Vec<String>> {
        match self.raw(key)? {
            Value::String(text) => Some(vec![text]),
            Value::Array(items) if items.iter().all(Value::is_string) => {
                Some(items.iter().filter_map(Value::as_str).map(str::to_owned).collect())
            }
            _ => {
                self.problem(key, "must be a text or a list of texts".to_owned(), None);
                Some(Vec::new())
            }
        }
    }

    /// A single ASCII character, `none` or absent: `Some(None)` is an explicit `none`.
    pub(crate) fn ascii(&mut self, key: &'static str) -> Option<Option<u8>> {
        let text: String = self.take(key, "one character or `none`")?;
        let known = match text.as_str() {
            "none" | "" => return Some(None),
            "\\\\" | "backslash" => "\\",
            "\\t" | "tab" => "\t",
            other => other,
        };
        match known.as_bytes() {
            [byte] if byte.is_ascii() && !matches!(byte, b'\n' | b'\r' | 0) => Some(Some(*byte)),
            _ => {
                self.problem(key, "must be one ASCII character or `none`".to_owned(), None);
                None
            }
        }
    }

    pub(crate) fn problem(&mut self, key: &str, message: String, help: Option<String>) {
        let path = if self.prefix.is_empty() { key.to_owned() } else { format!("{}.{key}", self.prefix) };
        self.problems.push(ConfigProblem { path, message, help });
    }

    /// Problems that were found elsewhere, with their whole path.
    pub(crate) fn problems(&mut self, found: Vec<ConfigProblem>) {
        self.problems.extend(found);
    }

    /// Reports the keys nobody asked for.
    pub(crate) fn finish(mut self) {
        let unknown: Vec<String> = self.values.keys().cloned().collect();
        for key in unknown {
            let help = did_you_mean(&key, self.known.iter().copied())
                .map(|name| format!("did you mean `{name}`?"))
                .or_else(|| Some(format!("known settings: {}", self.known.join(", "))));
            self.problem(&key, "is not a setting of a source table".to_owned(), help);
        }
        self.problems.append(&mut self.within);
    }
}
