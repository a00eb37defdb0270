//! The environment as the project sees it, and which of it the project asked for: a server that builds in this command's place is to see
//! the same.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

/// Variables that were asked for, with their values; none for one that is not set. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Asked(Arc<Mutex<BTreeMap<String, Option<String>>>>);

impl Asked {
    /// Looks a variable up.
    pub(crate) fn look_up(&self, name: &str) -> Option<String> {
        let value = std::env::var(name).ok();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), value.clone());
        value
    }

    /// What was asked for so far.
    pub(crate) fn so_far(&self) -> BTreeMap<String, Option<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Values may be secrets.
impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Asked")
    }
}
