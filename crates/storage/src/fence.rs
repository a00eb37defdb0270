//! An end from which on this process writes nothing to the lake any more.

use std::{
    sync::{Mutex, PoisonError},
    time::Instant,
};

use crate::StorageError;

/// When this process has to stop writing, if it has to.
#[derive(Debug, Default)]
pub(crate) struct Fence(Mutex<Option<Instant>>);

impl Fence {
    pub(crate) fn set(&self, end: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = end;
    }

    pub(crate) fn is_open(&self) -> bool {
        // Asked anew each time: the process may have stood still while time went on.
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_none_or(|end| Instant::now() < end)
    }

    /// An error if it is too late to write `what`.
    pub(crate) fn check(&self, what: impl ToString) -> Result<(), StorageError> {
        match self.is_open() {
            true => Ok(()),
            false => Err(StorageError::LeaseOver { what: what.to_string() }),
        }
    }
}
