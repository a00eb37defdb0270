//! A look at a folder of files as whoever brings them would take it: which of them are extracts of one table, how they are read,
//! what their columns hold. What comes of it is a proposal, a source file and a staging model per table.

mod columns;
mod names;
mod text;

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZero,
    path::Path,
};

use serde_json::{Value as Json, json};
use wardlake_connect::{ConnectError, Event, FileReport, FileTable, FoundFile, belongs, discover, read};

pub(crate) use self::text::{source_file, staging_model, summary};
use self::{
    columns::{Column, Look, is_code},
    names::{Token, digits, identifier, literal, pattern, shape, table_name, tokens, unique},
};
use crate::failure::Failure;

/// Endings of the files that can be read, and of those whose first bytes have to tell.
const ENDINGS: [&str; 11] =
    [".csv", ".psv", ".tsv", ".tab", ".json", ".ndjson", ".jsonl", ".parquet", ".hl7", ".txt", ".dat"];
const COMPRESSED: [&str; 4] = [".gz", ".gzip", ".zst", ".zstd"];
/// Folders of a project, which hold no extracts.
const PROJECT_FOLDERS: [&str; 12] = [
    "models",
    "sources",
    "seeds",
    "snapshots",
    "tests",
    "macros",
    "analyses",
    "target",
    "logs",
    "lake",
    "dbt_packages",
    "docs",
];

/// What a folder holds.
pub(crate) struct Survey {
    /// The source's name.
    pub(crate) source: String,
    /// The folder as the source file names it.
    pub(crate) root: String,
    pub(crate) tables: Vec<Table>,
    /// Files that are no table's, and why.
    pub(crate) left_out: Vec<(String, String)>,
}

/// Files that hold the same kind of rows.
pub(crate) struct Table {
    pub(crate) name: String,
    /// Patterns, or the files themselves where a pattern would take those of other tables.
    pub(crate) paths: Vec<String>,
    /// The `format` block.
    pub(crate) format: String,
    pub(crate) files: usize,
    pub(crate) rows: u64,
    pub(crate) rejected: u64,
    pub(crate) columns: Vec<Column>,
}

impl Table {
    /// The column that could be the key: the first that names something, else the first of the table, if its values all differ.
    pub(crate) fn key(&self) -> Option<&Column> {
        let could_be = |column: &&Column| column.is_unique && self.rows > 1;
        let named = self.columns.iter().filter(could_be).find(|column| is_code(&column.name));
        named.or_else(|| self.columns.first().filter(could_be))
    }
}

/// A file and the parts of its path, without its ending.
type Member = (FoundFile, Vec<Token>);

/// Looks at every file below `folder`, which the source file will call `root`.
pub(crate) fn survey(folder: &Path, root: String) -> Result<Survey, Failure> {
    let mut left_out = Vec::new();
    let mut groups: BTreeMap<(String, &'static str), Vec<Member>> = BTreeMap::new();
    for file in discover(&reading(folder, "**/*", false)?, folder).map_err(unreadable)? {
        match ending(&file.relative) {
            _ if is_ours(folder, &file.path) => {}
            None => left_out.push((file.relative, format!("not one of {}", ENDINGS.join(" ")))),
            Some(ending) => {
                let parts = tokens(without_ending(&file.relative, ending));
                // Messages are one table, whatever their files are called.
                let shape = if ending == ".hl7" { folder_of(&file.relative).to_owned() } else { shape(&parts) };
                groups.entry((shape, ending)).or_default().push((file, parts));
            }
        }
    }
    let mut tables = Vec::new();
    let mut taken = BTreeSet::new();
    let source = source_name(folder);
    for ((_, ending), group) in groups {
        for group in parted(folder, group)? {
            if let Some(mut table) = table(folder, &source, ending, &group, &mut left_out)? {
                let folder = group.first().map(|(file, _)| last_folder(&file.relative)).unwrap_or_default();
                if taken.contains(&table.name) && !folder.is_empty() {
                    table.name = format!("{folder}_{}", table.name);
                }
                table.name = unique(&table.name, &mut taken);
                tables.push((table, group));
            }
        }
    }
    name_files_where_patterns_meet(folder, &mut tables)?;
    let tables = tables.into_iter().map(|(table, _)| table).collect();
    Ok(Survey { source, root, tables, left_out })
}

fn unreadable(error: ConnectError) -> Failure {
    Failure::Usage(error.to_string())
}

/// The settings that read files of unknown format.
fn reading(folder: &Path, path: &str, has_no_header: bool) -> Result<FileTable, Failure> {
    let mut block = json!({"root": folder.to_string_lossy(), "path": path});
    if has_no_header {
        block["format"] = json!({"header": false});
    }
    FileTable::from_json(&Json::Null, &block).map_err(|problems| {
        let texts: Vec<String> =
            problems.iter().map(|problem| format!("{} {}", problem.path, problem.message)).collect();
        Failure::Usage(format!("{path}: {}", texts.join("; ")))
    })
}

/// The known ending of a path, compression and all.
fn ending(path: &str) -> Option<&'static str> {
    let path = path.to_lowercase();
    let path = COMPRESSED.iter().find_map(|compressed| path.strip_suffix(compressed)).unwrap_or(&path);
    ENDINGS.into_iter().find(|ending| path.ends_with(ending))
}

/// The path before its ending, which is known.
fn without_ending<'a>(path: &'a str, ending: &str) -> &'a str {
    let at = path.to_lowercase().rfind(ending).filter(|at| path.is_char_boundary(*at));
    at.map_or(path, |at| &path[..at])
}

fn folder_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// The name of the folder that a file stands in, as SQL can have it; empty in the surveyed folder itself.
fn last_folder(path: &str) -> String {
    let name = folder_of(path).rsplit('/').next().map(identifier).unwrap_or_default();
    if name.is_ascii() { name } else { String::new() }
}

/// The source's name is the folder's.
fn source_name(folder: &Path) -> String {
    let name = folder.file_name().map(|name| identifier(&name.to_string_lossy())).unwrap_or_default();
    match name.is_ascii() && !name.is_empty() {
        true => name,
        false => "extracts".to_owned(),
    }
}

/// Whether a file belongs to a lake or a project: neither is an extract.
fn is_ours(folder: &Path, file: &Path) -> bool {
    let mut below = file;
    for above in file.ancestors().skip(1).take_while(|above| above.starts_with(folder)) {
        let name = below.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
        let is_project = above.join("dbt_project.yml").exists();
        if above.join("_delta_log").is_dir() || (is_project && PROJECT_FOLDERS.contains(&name.as_ref())) {
            return true;
        }
        below = above;
    }
    false
}

/// Files of one shape are one table unless they differ in most of their columns: then the numbers in their names tell tables apart.
fn parted(folder: &Path, group: Vec<Member>) -> Result<Vec<Vec<Member>>, Failure> {
    let first = group.first().map(|(_, parts)| digits(parts));
    if group.iter().all(|(_, parts)| Some(digits(parts)) == first) {
        return Ok(vec![group]);
    }
    let mut by_columns: BTreeMap<BTreeSet<String>, Vec<Member>> = BTreeMap::new();
    for (file, parts) in group {
        let columns = first_columns(folder, &file)?.into_iter().collect();
        by_columns.entry(columns).or_default().push((file, parts));
    }
    // A file that cannot be read, or has no rows yet, is like any other.
    let sets: Vec<&BTreeSet<String>> = by_columns.keys().filter(|columns| !columns.is_empty()).collect();
    let all: BTreeSet<&String> = sets.iter().copied().flatten().collect();
    let common = all.iter().filter(|column| sets.iter().all(|set| set.contains(**column))).count();
    if common * 2 >= all.len() {
        Ok(vec![by_columns.into_values().flatten().collect()])
    } else {
        Ok(by_columns.into_values().collect())
    }
}

/// The columns with which a file begins, in one spelling; none of a file that cannot be read.
fn first_columns(folder: &Path, file: &FoundFile) -> Result<Vec<String>, Failure> {
    let mut columns: Vec<String> = Vec::new();
    let settings = reading(folder, "*", false)?;
    let result = read(file, &settings, None, None, 1, &mut |event| match event {
        Event::Rejected(_) => Ok(()),
        Event::Chunk(chunk) => {
            columns = chunk.columns.iter().map(|name| name.to_lowercase()).collect();
            Err(ConnectError::Stopped)
        }
    });
    if let Ok(report) = result
        && columns.is_empty()
    {
        columns = report.columns.iter().map(|name| name.to_lowercase()).collect();
    }
    Ok(columns)
}

/// The table of some files, as far as they can be read.
fn table(
    folder: &Path,
    source: &str,
    ending: &str,
    group: &[Member],
    left_out: &mut Vec<(String, String)>,
) -> Result<Option<Table>, Failure> {
    let mut has_header = true;
    if let Some((file, _)) = group.first() {
        has_header = !are_values(&first_columns(folder, file)?);
    }
    let settings = reading(folder, "*", !has_header)?;
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
    let (mut look, mut reports) = (Look::default(), Vec::new());
    for (file, _) in group {
        let known = look.names();
        let known = (!known.is_empty()).then_some(known.as_slice());
        let result = read(file, &settings, known, None, threads, &mut |event| {
            if let Event::Chunk(chunk) = event {
                look.add(&chunk);
            }
            Ok(())
        });
        look.end_file();
        match result {
            Ok(report) => {
                look.note(&report.columns);
                reports.push(report);
            }
            Err(error) => left_out.push((file.relative.clone(), error.to_string())),
        }
    }
    let rows = look.rows;
    let columns = look.finish();
    // A text of one column may be anything: a letter, a log.
    let is_any_text = matches!(ending, ".txt" | ".dat") && columns.len() < 2;
    if reports.is_empty() || columns.is_empty() || is_any_text {
        if !reports.is_empty() {
            let reason = "it has no columns that could be told apart";
            left_out.extend(group.iter().map(|(file, _)| (file.relative.clone(), reason.to_owned())));
        }
        return Ok(None);
    }
    let parts: Vec<Vec<Token>> = group.iter().map(|(_, parts)| parts.clone()).collect();
    let name = group.first().and_then(|(file, parts)| match ending {
        ".hl7" => Some(last_folder(&file.relative)),
        _ => table_name(parts),
    });
    let name = name.filter(|name| name.is_ascii() && !name.is_empty());
    Ok(Some(Table {
        name: name.unwrap_or_else(|| source.to_owned()),
        paths: vec![path(ending, group, &parts)],
        format: format_block(&reports, has_header),
        files: reports.len(),
        rows,
        rejected: reports.iter().map(|report| report.rejected).sum(),
        columns,
    }))
}

/// The pattern of some files; their endings may differ in case and in compression.
fn path(ending: &str, group: &[Member], parts: &[Vec<Token>]) -> String {
    let behind: BTreeSet<&str> =
        group.iter().map(|(file, _)| &file.relative[without_ending(&file.relative, ending).len()..]).collect();
    let behind: String = match behind.len() {
        1 => behind.into_iter().map(literal).collect(),
        _ => format!("{{{}}}", behind.into_iter().map(literal).collect::<Vec<_>>().join(",")),
    };
    if ending == ".hl7" {
        let folder = group.first().map_or("", |(file, _)| folder_of(&file.relative));
        let slash = if folder.is_empty() { "" } else { "/" };
        return format!("{}{slash}*{behind}", literal(folder));
    }
    format!("{}{behind}", pattern(parts))
}

/// Whether names of columns are rather values: most of them are numbers or dates.
fn are_values(names: &[String]) -> bool {
    let is_value =
        |name: &&String| name.parse::<f64>().is_ok_and(f64::is_finite) || name.parse::<chrono::NaiveDate>().is_ok();
    names.iter().filter(is_value).count() * 2 > names.len()
}

/// The `format` block: what all files have in common.
fn format_block(reports: &[FileReport], has_header: bool) -> String {
    let one = |of: fn(&FileReport) -> String| {
        let values: BTreeSet<String> = reports.iter().map(of).collect();
        values.first().filter(|_| values.len() == 1).cloned()
    };
    let kind = one(|report| report.file_format.name().to_owned()).unwrap_or_else(|| "auto".to_owned());
    let mut parts = vec![format!("type: {kind}")];
    let delimiter =
        one(|report| report.delimiter.clone().unwrap_or_default()).filter(|delimiter| !delimiter.is_empty());
    match delimiter.as_deref() {
        Some("\t") if kind == "csv" => parts.push("delimiter: tab".to_owned()),
        Some(delimiter) if kind == "csv" => parts.push(format!("delimiter: {}", text::yaml(delimiter))),
        _ => {}
    }
    if !has_header {
        parts.push("header: false".to_owned());
    }
    format!("{{{}}}", parts.join(", "))
}

/// A pattern that takes files of another table gives way to the names of its own.
fn name_files_where_patterns_meet(folder: &Path, tables: &mut [(Table, Vec<Member>)]) -> Result<(), Failure> {
    let mut meets = Vec::new();
    for (place, (table, _)) in tables.iter().enumerate() {
        for path in &table.paths {
            let settings = reading(folder, path, false)?;
            let others = tables.iter().enumerate().filter(|(other, _)| *other != place);
            let mut files = others.flat_map(|(_, (_, group))| group.iter());
            meets.push((place, files.any(|(file, _)| belongs(&settings, folder, &file.path))));
        }
    }
    for (place, _) in meets.into_iter().filter(|(_, meets)| *meets) {
        let (table, group) = &mut tables[place];
        table.paths = group.iter().map(|(file, _)| literal(&file.relative)).collect();
    }
    Ok(())
}
