//! What of a lake is kept, and for how long: `retention`, `epochs` and `min_free` of wardlake.yml. They stand at its top for all targets,
//! or in a target, whose own count more.

use std::{collections::BTreeMap, path::Path};

use serde_json::Value as Json;
use wardlake_core::{Diagnostic, Diagnostics};

use crate::yaml::{self, Yaml};

/// The tables of the schema `system` whose rows go with age, and for how many days they stay if nothing else is said.
pub const RETAINED: [(&str, u32); 11] = [
    ("accounting", 90),
    ("alerts", 90),
    ("anomalies", 90),
    ("damage", 90),
    ("kpi_bounds", 90),
    ("profiles", 400),
    ("rejected_rows", 90),
    ("repeated_rows", 90),
    ("rule_results", 400),
    ("run_nodes", 400),
    ("runs", 90),
];
/// The tables of the schema `system` whose rows stay for ever, and why.
pub const FOR_EVER: [(&str, &str); 4] = [
    ("identity_decisions", "people's decisions are never deleted"),
    ("load_log", "it says which files were loaded, and what it forgot would be loaded again"),
    ("quarantine_actions", "people's decisions are never deleted"),
    ("replays", "it says which deliveries were loaded after all, and what it forgot would be shown as set aside again"),
];
/// All tables that are not named.
const ALL: &str = "system";
const NEVER: &str = "never";
/// A century, beyond which days are no days.
const MOST_DAYS: u64 = 36_500;
const MIN_FREE_BYTES: u64 = 2 << 30;

pub(crate) const KEYS: [&str; 3] = ["retention", "epochs", "min_free"];
const EPOCH_KEYS: [&str; 1] = ["keep_bytes"];

/// What of a lake is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keeping {
    /// Days by table, and of those that are not named; `None` for ever.
    retention: BTreeMap<String, Option<u32>>,
    /// `epochs.keep_bytes`: beyond so many bytes that only old epochs need, the oldest of them are forgotten.
    pub epoch_bytes: Option<u64>,
    /// `min_free`: with less free space on the disks of a server, it takes no more deliveries.
    pub min_free_bytes: u64,
}

impl Default for Keeping {
    fn default() -> Self {
        Self { retention: BTreeMap::new(), epoch_bytes: None, min_free_bytes: MIN_FREE_BYTES }
    }
}

impl Keeping {
    /// For how many days rows of a table of the schema `system` stay; none if for ever.
    pub fn days(&self, table: &str) -> Option<u32> {
        let (_, default) = RETAINED.iter().find(|(name, _)| *name == table)?;
        let said = self.retention.get(table).or_else(|| self.retention.get(ALL));
        said.copied().unwrap_or(Some(*default))
    }

    /// Lays what a block says over what is said already. `render` turns a value with Jinja in it into the value it stands for.
    pub(crate) fn read(
        &mut self,
        file: &Path,
        block: &Yaml,
        render: &mut dyn FnMut(&Yaml) -> Result<Json, Diagnostic>,
        problems: &mut Diagnostics,
    ) -> Result<(), Diagnostic> {
        let bad =
            |value: &Yaml, what: &str| Diagnostic::error("WL-P005", what).at(file, value.at.line, value.at.column);
        for (table, value) in block.get("retention").map(Yaml::entries).unwrap_or_default() {
            match days(&render(value)?) {
                Some(days) => {
                    self.retention.insert(table.text.clone(), days);
                }
                None => problems.push(
                    bad(value, &format!("`retention.{}` must be a number of days above zero, or `never`", table.text))
                        .help("`never` keeps the rows for ever"),
                ),
            }
        }
        if let Some(value) = block.get("epochs").and_then(|epochs| epochs.get("keep_bytes")) {
            match yaml::as_bytes(&render(value)?) {
                Some(bytes) => self.epoch_bytes = Some(bytes),
                None => problems.push(bad(value, "`epochs.keep_bytes` must be a size such as 50GiB")),
            }
        }
        if let Some(value) = block.get("min_free") {
            match yaml::as_bytes(&render(value)?) {
                Some(bytes) => self.min_free_bytes = bytes,
                None => problems.push(bad(value, "`min_free` must be a size such as 2GiB; 0 asks for no free space")),
            }
        }
        Ok(())
    }
}

/// The shape of what a block says, also where its target is not chosen.
pub(crate) fn check_shape(file: &Path, block: &Yaml, problems: &mut Diagnostics) {
    if let Some(epochs) = block.get("epochs") {
        yaml::check_block(file, "`epochs`", epochs, &EPOCH_KEYS, problems);
    }
    let Some(retention) = block.get("retention") else { return };
    let mut known = vec![ALL];
    known.extend(RETAINED.iter().map(|(name, _)| *name));
    let for_ever = |name: &str| FOR_EVER.iter().find(|(table, _)| *table == name);
    for (key, _) in retention.entries() {
        if let Some(&(name, why)) = for_ever(&key.text) {
            let problem = Diagnostic::error("WL-P005", format!("rows of system.{name} stay for ever: {why}"));
            problems.push(problem.at(file, key.at.line, key.at.column).help(format!("leave `{name}` out")));
            known.push(name);
        }
    }
    yaml::check_block(file, "`retention`", retention, &known, problems);
}

fn days(value: &Json) -> Option<Option<u32>> {
    if value.as_str().is_some_and(|text| text.trim() == NEVER) {
        return Some(None);
    }
    let days = value.as_u64().or_else(|| value.as_str()?.trim().parse().ok())?;
    let days = Some(days).filter(|days| (1..=MOST_DAYS).contains(days))?;
    u32::try_from(days).ok().map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(texts: &[&str]) -> (Keeping, Diagnostics) {
        let file = Path::new("wardlake.yml");
        let (mut keeping, mut problems) = (Keeping::default(), Diagnostics::default());
        for text in texts {
            let tree = yaml::parse(file, text).unwrap().unwrap();
            check_shape(file, &tree, &mut problems);
            keeping.read(file, &tree, &mut |value| Ok(value.to_json()), &mut problems).unwrap();
        }
        (keeping, problems)
    }

    #[test]
    fn what_is_named_counts_more_than_what_is_not() {
        let (keeping, _) = read(&["{}"]);
        let of = |keeping: &Keeping| ["runs", "run_nodes", "load_log"].map(|table| keeping.days(table));
        assert_eq!(of(&keeping), [Some(90), Some(400), None]);
        assert_eq!((keeping.epoch_bytes, keeping.min_free_bytes), (None, 2 << 30));
        let (keeping, problems) = read(&[
            "retention: {system: 30, run_nodes: never}\nepochs: {keep_bytes: 5GiB}\nmin_free: 1GiB",
            "retention: {runs: '7'}\nmin_free: 0",
        ]);
        assert!(!problems.has_errors(), "{problems}");
        assert_eq!(of(&keeping), [Some(7), None, None]);
        assert_eq!(keeping.days("alerts"), Some(30));
        assert_eq!((keeping.epoch_bytes, keeping.min_free_bytes), (Some(5 << 30), 0));
    }

    #[test]
    fn slips_are_told_with_their_place() {
        for (text, says) in [
            ("retention: {runs: 0}", "`retention.runs` must be a number of days"),
            ("retention: {runs: [1]}", "`retention.runs`"),
            ("retention: {runs: 40000}", "`retention.runs`"),
            ("retention: {run: 3}", "did you mean `runs`?"),
            ("retention: {load_log: 30}", "system.load_log stay for ever"),
            ("retention: {quarantine_actions: 30}", "people's decisions"),
            ("retention: {replays: 30}", "loaded after all"),
            ("retention: 90", "`retention` must be a mapping"),
            ("epochs: {keep: 3}", "`keep`"),
            ("epochs: {keep_bytes: many}", "`epochs.keep_bytes` must be a size"),
            ("min_free: some", "`min_free` must be a size"),
        ] {
            let problems = read(&[text]).1.to_string();
            assert!(problems.contains(says) && problems.contains("wardlake.yml:1:"), "{text}: {problems}");
        }
    }
}
