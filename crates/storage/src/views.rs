//! Working definitions of views, `_views/<schema>/<name>.json`. Epochs carry their own copies.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use chrono::{DateTime, Utc};
use futures::{StreamExt, TryStreamExt};
use object_store::{ObjectMeta, ObjectStoreExt, path::Path};
use wardlake_core::TableName;

use crate::{Lake, StorageError};

const FOLDER: &str = "_views";

/// A view.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct View {
    /// The query.
    pub sql: String,
    /// Its columns, if they are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub columns: Option<Vec<String>>,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

/// Definitions read before, each valid as long as its file has the same time, size and tag.
#[derive(Debug, Default)]
pub(crate) struct ViewCache(Mutex<HashMap<TableName, (Stamp, View)>>);

type Stamp = (DateTime<Utc>, u64, Option<String>);

fn stamp(meta: &ObjectMeta) -> Stamp {
    (meta.last_modified, meta.size, meta.e_tag.clone())
}

fn path(view: &TableName) -> Path {
    Path::from_iter([FOLDER, view.schema(), &format!("{}.json", view.name())])
}

fn name(path: &Path) -> Option<TableName> {
    let mut parts = path.parts().skip(1);
    let (schema, file) = (parts.next()?, parts.next()?);
    TableName::new(schema.as_ref(), file.as_ref().strip_suffix(".json")?).ok()
}

impl ViewCache {
    fn get(&self, view: &TableName, stamp: &Stamp) -> Option<View> {
        let cache = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        cache.get(view).filter(|(cached, _)| cached == stamp).map(|(_, view)| view.clone())
    }

    fn keep(&self, name: TableName, stamp: Stamp, view: View) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name, (stamp, view));
    }
}

impl Lake {
    /// Defines or redefines a view.
    pub async fn put_view(&self, name: &TableName, view: &View) -> Result<(), StorageError> {
        let path = path(name);
        let damaged =
            |error: serde_json::Error| StorageError::Damaged { path: path.to_string(), reason: error.to_string() };
        self.put(&path, serde_json::to_vec_pretty(view).map_err(damaged)?).await
    }

    /// The definition of a view, or `None` if there is none of this name.
    pub async fn view(&self, name: &TableName) -> Result<Option<View>, StorageError> {
        match self.store.head(&path(name)).await {
            // Stores with a prefix answer `head` with the whole path, which they do not read by.
            Ok(meta) => self.read_view(name.clone(), &ObjectMeta { location: path(name), ..meta }).await,
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.failed("read", path(name))(error)),
        }
    }

    /// All views, by name.
    pub async fn views(&self) -> Result<Vec<(TableName, View)>, StorageError> {
        let folder = Path::from(FOLDER);
        let found: Vec<ObjectMeta> =
            self.store.list(Some(&folder)).try_collect().await.map_err(self.failed("list", FOLDER))?;
        let views = futures::stream::iter(found)
            .map(|meta| async move {
                let Some(name) = name(&meta.location) else { return Ok(None) };
                Ok::<_, StorageError>(self.read_view(name.clone(), &meta).await?.map(|view| (name, view)))
            })
            .buffer_unordered(16);
        let mut views: Vec<_> = views.try_filter_map(async |view| Ok(view)).try_collect().await?;
        views.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(views)
    }

    /// Removes a view; says whether there was one.
    pub async fn drop_view(&self, name: &TableName) -> Result<bool, StorageError> {
        let path = path(name);
        let existed = self.view(name).await?.is_some();
        match self.store.delete(&path).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(existed),
            Err(error) => Err(self.failed("delete", path)(error)),
        }
    }

    async fn read_view(&self, name: TableName, meta: &ObjectMeta) -> Result<Option<View>, StorageError> {
        let stamp = stamp(meta);
        if let Some(view) = self.views.get(&name, &stamp) {
            return Ok(Some(view));
        }
        let Some(bytes) = self.get(&meta.location).await? else { return Ok(None) };
        let view: View = serde_json::from_slice(&bytes)
            .map_err(|error| StorageError::Damaged { path: meta.location.to_string(), reason: error.to_string() })?;
        self.views.keep(name, stamp, view.clone());
        Ok(Some(view))
    }
}
