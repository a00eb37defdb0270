//! A project in a folder of its own, and the binary run on it.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use tempfile::TempDir;
use wardlake_testkit::skip::skipped_everywhere;

/// One row of a result by column name.
pub(crate) type Row = BTreeMap<String, String>;

/// A folder with a project, a lake and extracts.
pub(crate) struct World {
    folder: TempDir,
    env: Vec<(String, String)>,
}

/// The repository.
pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// The acceptance data, or a message that says why the test is skipped: they are not part of the repository, so that no machine must
/// have them.
pub(crate) fn acceptance_data() -> Option<PathBuf> {
    let data = repository().join("../shared/data");
    if data.is_dir() {
        return data.canonicalize().ok();
    }
    skipped_everywhere("the acceptance data (../shared/data) is not here");
    None
}

impl World {
    /// An empty project folder.
    pub(crate) fn empty() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), env: Vec::new() }
    }

    /// A copy of one of the example projects, reading the acceptance data.
    pub(crate) fn example(name: &str) -> Option<Self> {
        let data = acceptance_data()?;
        let world = Self::empty().env("WARDLAKE_DATA", &data.to_string_lossy());
        copy_folder(&repository().join("examples").join(name), world.path());
        Some(world)
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file of the project and the folders above it.
    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wardlake"));
        command.current_dir(self.path()).args(arguments).env_remove("WARDLAKE_LAKE").stdin(Stdio::null());
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs a command that has to succeed; gives back what it printed.
    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success(),
            "wardlake {} ended with {}\n{printed}\n{}",
            arguments.join(" "),
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        printed
    }

    /// Runs a command that has to fail with this exit code; gives back all it printed.
    pub(crate) fn fails(&self, code: i32, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let printed = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(code), "wardlake {}\n{printed}", arguments.join(" "));
        printed
    }

    pub(crate) fn spawn(&self, arguments: &[&str]) -> Child {
        self.command(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// The rows of a query.
    pub(crate) fn sql(&self, query: &str) -> Vec<Row> {
        let text = self.ok(&["sql", query, "--format", "csv"]);
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        reader.deserialize().map(|row| row.unwrap()).collect()
    }

    /// The one value of a query that has one.
    pub(crate) fn value(&self, query: &str) -> String {
        let rows = self.sql(query);
        assert_eq!(rows.len(), 1, "{query}: {rows:?}");
        rows[0].values().next().unwrap().clone()
    }

    pub(crate) fn count(&self, table: &str) -> u64 {
        self.value(&format!("select count(*) as n from {table}")).parse().unwrap()
    }

    /// Every table's rows as sorted text. When a row came and with which load differs from run to run and is left out.
    pub(crate) fn contents(&self) -> BTreeMap<String, Vec<String>> {
        let tables = self.sql(
            "select table_schema as s, table_name as t from information_schema.tables \
             where table_schema not in ('system', 'quarantine', 'audit', 'information_schema')",
        );
        let mut contents = BTreeMap::new();
        for table in tables {
            let name = format!("\"{}\".\"{}\"", table["s"], table["t"]);
            let has_lineage = table["s"] == "bronze";
            let except = if has_lineage { " exclude (_received_at, _batch_id)" } else { "" };
            let text = self.ok(&["sql", &format!("select *{except} from {name}"), "--format", "csv"]);
            let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
            lines.sort_unstable();
            contents.insert(name, lines);
        }
        contents
    }
}

/// Copies a folder, its build products left out.
pub(crate) fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name();
        if ["target", "lake", "logs", "landing"].iter().any(|skipped| name == *skipped) {
            continue;
        }
        let target = to.join(&name);
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Rows of a CSV file.
pub(crate) fn csv_rows(path: &Path) -> Vec<Row> {
    csv::Reader::from_path(path).unwrap().deserialize().map(|row| row.unwrap()).collect()
}

/// Compares two sets of rows; numbers may differ by 1e-6.
pub(crate) fn assert_same_rows(what: &str, mut got: Vec<Row>, mut expected: Vec<Row>) {
    let names = |rows: &[Row]| rows.first().map(|row| row.keys().cloned().collect::<Vec<_>>());
    assert_eq!(names(&got), names(&expected), "{what}: columns");
    assert_eq!(got.len(), expected.len(), "{what}: number of rows");
    // Texts identify a row; numbers that differ in their last digits must not change the order.
    let key = |row: &Row| row.values().filter(|value| value.parse::<f64>().is_err()).cloned().collect::<Vec<_>>();
    got.sort_by_key(key);
    expected.sort_by_key(key);
    for (got, expected) in got.iter().zip(&expected) {
        for (column, wanted) in expected {
            let same = match (got[column].parse::<f64>(), wanted.parse::<f64>()) {
                (Ok(got), Ok(wanted)) => (got - wanted).abs() <= 1e-6,
                _ => got[column] == *wanted,
            };
            assert!(same, "{what}: {column} is {} instead of {wanted} in {got:?}", got[column]);
        }
    }
}
