//! The shipped hospital project, compiled into the binary.

use std::path::Path;

use rust_embed::RustEmbed;

use crate::failure::Failure;

#[derive(RustEmbed)]
#[folder = "../../hospital"]
#[exclude = "target/*"]
#[exclude = "logs/*"]
#[exclude = "lake/*"]
#[exclude = "landing/*"]
#[exclude = ".user.yml"]
struct Hospital;

/// Writes the project into a folder. Files that are there already are left alone; says how many were written.
pub(crate) fn write(dir: &Path) -> Result<usize, Failure> {
    let mut written = 0;
    for name in Hospital::iter() {
        let path = dir.join(name.as_ref());
        if path.exists() {
            continue;
        }
        let Some(file) = Hospital::get(&name) else { continue };
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(Failure::file(folder))?;
        }
        std::fs::write(&path, file.data).map_err(Failure::file(&path))?;
        written += 1;
    }
    Ok(written)
}
