//! `{{ doc('name') }}` in descriptions.

use std::{collections::BTreeMap, sync::LazyLock};

use regex::Regex;

use crate::{Doc, UniqueId};

static DOC_CALL: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r#"\{\{-?\s*doc\(\s*['"]([^'"]+)['"]\s*(?:,\s*['"]([^'"]+)['"]\s*)?\)\s*-?\}\}"#).ok());

/// The text with every `doc()` replaced, or the name of the first block that does not exist.
pub(crate) fn resolve(text: &str, package: &str, root: &str, docs: &BTreeMap<UniqueId, Doc>) -> Result<String, String> {
    let Some(pattern) = DOC_CALL.as_ref().filter(|_| text.contains("doc(")) else { return Ok(text.to_owned()) };
    let mut missing = None;
    let replaced = pattern.replace_all(text, |call: &regex::Captures<'_>| {
        let (first, second) = (&call[1], call.get(2).map(|m| m.as_str()));
        let found = match second {
            Some(name) => docs.get(&format!("doc.{first}.{name}")),
            None => [package, root]
                .iter()
                .find_map(|p| docs.get(&format!("doc.{p}.{first}")))
                .or_else(|| docs.values().find(|doc| doc.name == first)),
        };
        match found {
            Some(doc) => doc.contents.trim().to_owned(),
            None => {
                missing.get_or_insert_with(|| second.unwrap_or(first).to_owned());
                String::new()
            }
        }
    });
    match missing {
        Some(name) => Err(name),
        None => Ok(replaced.into_owned()),
    }
}
