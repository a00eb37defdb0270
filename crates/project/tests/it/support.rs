//! Writes project folders, and a warehouse that knows a few relations.

use std::{collections::BTreeMap, fs, path::Path, sync::Arc};

use serde_json::{Map, Value as Json};
use wardlake_core::Diagnostics;
use wardlake_project::{Adapter, AdapterError, Column, LoadOptions, Project, QueryResult, Relation};

/// A folder that holds `dbt_project.yml` and whatever is added.
pub(crate) struct Folder {
    dir: tempfile::TempDir,
    vars: Map<String, Json>,
    env: BTreeMap<String, String>,
}

impl Folder {
    /// A project called `shop` with these files.
    pub(crate) fn new(files: &[(&str, &str)]) -> Self {
        let folder = Self { dir: tempfile::tempdir().unwrap(), vars: Map::new(), env: BTreeMap::new() };
        if !files.iter().any(|(path, _)| *path == "dbt_project.yml") {
            folder.write("dbt_project.yml", "name: shop\nversion: '1.0'\n");
        }
        for (path, text) in files {
            folder.write(path, text);
        }
        folder
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let file = self.dir.path().join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn var(mut self, name: &str, value: Json) -> Self {
        self.vars.insert(name.to_owned(), value);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.env.insert(name.to_owned(), value.to_owned());
        self
    }

    pub(crate) fn options(&self) -> LoadOptions {
        let env = self.env.clone();
        LoadOptions {
            vars: self.vars.clone(),
            env: Arc::new(move |name| env.get(name).cloned()),
            ..LoadOptions::new(self.dir.path())
        }
    }

    pub(crate) fn try_load(&self) -> Result<Project, Diagnostics> {
        Project::load(self.options())
    }

    /// Loads a project that must be without a fault.
    pub(crate) fn load(&self) -> Project {
        let project = self.try_load().unwrap_or_else(|problems| panic!("{problems}"));
        assert!(project.warnings().is_empty(), "{}", Diagnostics(project.warnings().to_vec()));
        project
    }
}

/// A warehouse without tables.
pub(crate) struct Empty;

impl Adapter for Empty {
    fn query(&self, _sql: &str) -> Result<QueryResult, AdapterError> {
        Ok(QueryResult::default())
    }

    fn relation(&self, _schema: &str, _identifier: &str) -> Result<Option<Relation>, AdapterError> {
        Ok(None)
    }

    fn columns(&self, _relation: &Relation) -> Result<Vec<Column>, AdapterError> {
        Ok(Vec::new())
    }

    fn relations(&self, _schema: &str) -> Result<Vec<Relation>, AdapterError> {
        Ok(Vec::new())
    }

    fn drop_relation(&self, _relation: &Relation) -> Result<(), AdapterError> {
        Ok(())
    }
}

/// The compiled SQL of a node, blanks squeezed.
pub(crate) fn sql(project: &Project, id: &str) -> String {
    let adapter: Arc<dyn Adapter> = Arc::new(Empty);
    let compiled = project.compile(&id.to_owned(), &adapter, false).unwrap_or_else(|problem| panic!("{problem}"));
    squeeze(&compiled.sql)
}

pub(crate) fn squeeze(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
