//! Projects to start from: the shipped hospital project, compiled into the binary, and an empty one. Nothing that is there already is
//! written over, and no project is mixed with what somebody else keeps in a folder.

use std::{fs, io::Write, path::Path};

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

/// The file by which a demo knows its folder.
const DEMO_MARK: &str = ".wardlake-demo";

/// Writes the project into a folder. Files that are there already are left alone; says how many were written.
pub(crate) fn write(dir: &Path) -> Result<usize, Failure> {
    let mut written = 0;
    for name in Hospital::iter() {
        let Some(file) = Hospital::get(&name) else { continue };
        written += usize::from(write_new(&dir.join(name.as_ref()), &file.data)?);
    }
    Ok(written)
}

/// Writes a file and the folders above it, unless it is there already; says whether it did.
pub(crate) fn write_new(path: &Path, bytes: &[u8]) -> Result<bool, Failure> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(Failure::file(folder))?;
    }
    match fs::File::create_new(path) {
        Ok(mut file) => file.write_all(bytes).map(|()| true).map_err(Failure::file(path)),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(Failure::file(path)(error)),
    }
}

/// Makes a folder a demo's: one that is new, empty, or a demo's already. A demo writes a project, extracts and a lake, which nobody
/// wants among files of his own.
pub(crate) fn claim_for_demo(dir: &Path) -> Result<(), Failure> {
    fs::create_dir_all(dir).map_err(Failure::file(dir))?;
    let mark = dir.join(DEMO_MARK);
    if mark.exists() {
        return Ok(());
    }
    if let Some(entry) = first_entry(dir, |_| true)? {
        return Err(Failure::Usage(format!(
            "{} is not empty (it holds {entry}) and is no demo's: nothing was written. A demo writes a whole project with its data; \
             name a folder that is not there yet, as in `wardlake demo my-demo`",
            dir.display()
        )));
    }
    write_new(&mark, b"`wardlake demo` works in this folder and may write over what is in it.\n").map(drop)
}

/// Refuses a folder in which somebody keeps something else than what tools hide there (`.git`).
pub(crate) fn require_empty(dir: &Path) -> Result<(), Failure> {
    require_no_project(dir)?;
    match first_entry(dir, |name| !name.starts_with('.'))? {
        None => Ok(()),
        Some(entry) => Err(Failure::Usage(format!(
            "{} is not empty (it holds {entry}): nothing was written. Name a folder that is not there yet, as in `wardlake init ward`; \
             for files that are here already, `wardlake init --from FOLDER` writes their source file",
            dir.display()
        ))),
    }
}

/// Refuses a folder that holds a project.
pub(crate) fn require_no_project(dir: &Path) -> Result<(), Failure> {
    if dir.join("dbt_project.yml").exists() {
        let text = format!("{} holds a project already (dbt_project.yml); choose another folder", dir.display());
        return Err(Failure::Usage(text));
    }
    Ok(())
}

/// The first name in a folder, by the alphabet, that counts; none of a folder that is not there.
fn first_entry(dir: &Path, counts: impl Fn(&str) -> bool) -> Result<Option<String>, Failure> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Failure::file(dir)(error)),
    };
    let mut first: Option<String> = None;
    for entry in entries {
        let name = entry.map_err(Failure::file(dir))?.file_name().to_string_lossy().into_owned();
        if counts(&name) && first.as_ref().is_none_or(|first| name < *first) {
            first = Some(name);
        }
    }
    Ok(first)
}

/// A project with nothing in it: its files by name.
pub(crate) fn empty_project(name: &str) -> [(&'static str, String); 3] {
    let project = format!(
        "# Read by Wardlake and by dbt.\n\
         name: {name}\n\
         version: \"1.0.0\"\n\
         config-version: 2\n\
         profile: {name}\n\
         \n\
         # `sources` says where files come from and how they are read, `models` what is made of them.\n\
         model-paths: [\"models\", \"sources\"]\n\
         macro-paths: [\"macros\"]\n\
         seed-paths: [\"seeds\"]\n\
         snapshot-paths: [\"snapshots\"]\n\
         test-paths: [\"tests\"]\n\
         target-path: target\n\
         clean-targets: [\"target\"]\n\
         \n\
         flags:\n  require_generic_test_arguments_property: true\n\
         \n\
         models:\n  {name}:\n    +materialized: table\n"
    );
    let targets = "# Where the lake of each target is; `wardlake build -t prod` takes another than the first.\n\
                   target: dev\n\
                   targets:\n  \
                   dev: {lake: lake}\n  \
                   # prod: {lake: \"s3://hospital-lake/prod\", threads: 8}\n";
    let ignored = "/target/\n/lake/\n";
    [("dbt_project.yml", project), ("wardlake.yml", targets.to_owned()), (".gitignore", ignored.to_owned())]
}

/// The name of a project in this folder: the folder's own, as far as a name may have its characters.
pub(crate) fn project_name(dir: &Path) -> String {
    let dir = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
    let folder = dir.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    let name: String = folder.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    let name = name.trim_matches('_');
    match name.chars().next() {
        Some(first) if first.is_ascii_alphabetic() => name.to_owned(),
        Some(_) => format!("project_{name}"),
        None => "ward".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn e06_a_demo_takes_an_empty_folder_or_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("demo");
        claim_for_demo(&dir).unwrap();
        fs::write(dir.join("dbt_project.yml"), "name: hospital").unwrap();
        claim_for_demo(&dir).unwrap();
        for name in [".git", "notes.txt"] {
            let other = tempfile::tempdir().unwrap();
            fs::write(other.path().join(name), "mine").unwrap();
            assert!(claim_for_demo(other.path()).unwrap_err().to_string().contains(name));
            assert_eq!(fs::read_dir(other.path()).unwrap().count(), 1, "nothing is written beside {name}");
        }
    }

    #[test]
    fn e06_a_project_is_not_mixed_with_other_files() {
        let folder = tempfile::tempdir().unwrap();
        require_empty(folder.path()).unwrap();
        fs::create_dir(folder.path().join(".git")).unwrap();
        require_empty(folder.path()).unwrap();
        fs::write(folder.path().join("notes.txt"), "mine").unwrap();
        assert!(require_empty(folder.path()).unwrap_err().to_string().contains("notes.txt"));
    }

    #[test]
    fn a_folder_gives_its_project_a_name() {
        for (folder, name) in [
            ("/x/ward", "ward"),
            ("/x/Ward 7-b", "ward_7_b"),
            ("/x/2025", "project_2025"),
            ("/x/…", "ward"),
            ("/", "ward"),
        ] {
            assert_eq!(project_name(Path::new(folder)), name);
        }
    }
}
