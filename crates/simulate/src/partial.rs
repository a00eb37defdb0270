//! A file in the making: written under a temporary name and renamed when complete, so that no reader meets half a file. One that is
//! never completed is taken away.

use crate::error::SimulateError;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// A file under its temporary name, until it is delivered.
pub(crate) struct Partial {
    temporary: PathBuf,
    path: PathBuf,
    is_delivered: bool,
}

impl Partial {
    /// Begins `name` in `folder`.
    pub(crate) fn create(folder: &Path, name: &str) -> Result<(Self, File), SimulateError> {
        fs::create_dir_all(folder).map_err(SimulateError::write(folder))?;
        let temporary = folder.join(format!(".{name}.tmp"));
        let file = File::create(&temporary).map_err(SimulateError::write(&temporary))?;
        Ok((Self { temporary, path: folder.join(name), is_delivered: false }, file))
    }

    /// Where it is written.
    pub(crate) fn temporary(&self) -> &Path {
        &self.temporary
    }

    /// Gives it its name; from then on readers see it.
    pub(crate) fn deliver(&mut self) -> Result<(), SimulateError> {
        fs::rename(&self.temporary, &self.path).map_err(SimulateError::write(&self.path))?;
        self.is_delivered = true;
        Ok(())
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.is_delivered {
            // Whoever ended before this file was complete has a reason of its own to tell.
            let _ = fs::remove_file(&self.temporary);
        }
    }
}
