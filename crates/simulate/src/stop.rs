//! The word that ends a simulation early.

use crate::error::SimulateError;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Ends a simulation before its last day, once it is asked for. Files that are not complete are taken away.
#[derive(Debug, Default)]
pub struct Stop {
    is_asked: Mutex<bool>,
    news: Condvar,
}

impl Stop {
    /// Asks for the end, which comes with the next part of a day.
    pub fn ask(&self) {
        *self.is_asked.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.news.notify_all();
    }

    /// An error once the end was asked for.
    pub(crate) fn check(&self) -> Result<(), SimulateError> {
        match *self.is_asked.lock().unwrap_or_else(PoisonError::into_inner) {
            true => Err(SimulateError::Stopped),
            false => Ok(()),
        }
    }

    /// Waits so long, unless the end is asked for.
    pub(crate) fn wait(&self, time: Duration) -> Result<(), SimulateError> {
        let is_asked = self.is_asked.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.news.wait_timeout_while(is_asked, time, |is_asked| !*is_asked);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
        self.check()
    }
}
