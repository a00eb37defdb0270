//! Rings: files of one crate that need each other by `use crate::…`, so that none can be read, moved or changed without all of them.
//!
//! A path leads to the file that holds the item, also through the re-exports of other modules. Tests are left out.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use crate::{
    process::{TaskError, TaskResult, root},
    source::{self, TestModules},
};

/// The most files that may need each other.
const LARGEST: usize = 5;

/// Looks for rings in every crate; gives back a sentence for each that is too large.
pub(crate) fn breaches() -> TaskResult<Vec<String>> {
    let crates = root().join("crates");
    let entries = fs::read_dir(&crates).map_err(|error| TaskError::Found(format!("{}: {error}", crates.display())))?;
    let mut names: Vec<String> =
        entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.retain(|name| crates.join(name).join("src").is_dir());
    names.sort();
    let mut breaches = Vec::new();
    for name in names {
        let folder = crates.join(&name).join("src");
        let mut texts = Vec::new();
        for path in source::files(&folder)?.into_iter().filter(|path| source::ends_in(path, "rs")) {
            let text = source::text(&path)?;
            texts.push((path, text));
        }
        let large: Vec<Vec<String>> =
            Modules::of(&folder, &texts).rings().into_iter().filter(|ring| ring.len() > LARGEST).collect();
        println!("crates/{name}: {} rings above {LARGEST} files", large.len());
        breaches.extend(large.iter().map(|ring| {
            format!("in crates/{name}/src {} files need each other by `use crate::`: {}", ring.len(), ring.join(", "))
        }));
    }
    Ok(breaches)
}

/// Where something stands in a crate: names of modules, and at the end of one that an item has.
type Place = Vec<String>;

/// The modules of one crate that are no tests.
struct Modules {
    modules: Vec<Module>,
    by_place: BTreeMap<Place, usize>,
}

/// One module that is a file.
struct Module {
    file: String,
    place: Place,
    uses: Vec<Use>,
}

/// One name that a `use` brings in.
struct Use {
    path: Place,
    /// Behind `as`, or the path's last.
    name: String,
    /// Others find it here as well.
    is_shared: bool,
}

impl Modules {
    fn of(folder: &Path, texts: &[(PathBuf, String)]) -> Self {
        let tests = TestModules::of(texts);
        let modules: Vec<Module> = texts
            .iter()
            .filter(|(path, _)| !tests.hold(path))
            .map(|(path, text)| {
                let file = source::place(path, folder);
                Module { place: place(&file), uses: uses(&source::parts(text).program), file }
            })
            .collect();
        let by_place = modules.iter().enumerate().map(|(index, module)| (module.place.clone(), index)).collect();
        Self { modules, by_place }
    }

    /// Files that need each other, each set once.
    fn rings(&self) -> Vec<Vec<String>> {
        let edges: Vec<BTreeSet<usize>> = (0..self.modules.len()).map(|index| self.needed_by(index)).collect();
        let reached: Vec<BTreeSet<usize>> = (0..edges.len()).map(|start| reached(&edges, start)).collect();
        let mut rings: BTreeSet<Vec<usize>> = BTreeSet::new();
        for (start, ends) in reached.iter().enumerate() {
            let ring: Vec<usize> = ends.iter().copied().filter(|end| reached[*end].contains(&start)).collect();
            if ring.len() > 1 {
                rings.insert(ring);
            }
        }
        rings.into_iter().map(|ring| ring.into_iter().map(|index| self.modules[index].file.clone()).collect()).collect()
    }

    /// The other files that a file names by `use crate::…`.
    fn needed_by(&self, index: usize) -> BTreeSet<usize> {
        let named = self.modules[index].uses.iter().filter_map(|used| used.path.split_first());
        named
            .filter(|(first, _)| *first == "crate")
            .filter_map(|(_, rest)| self.holder(rest, 0))
            .filter(|holder| *holder != index)
            .collect()
    }

    /// The file that holds what stands at a place; `depth` ends re-exports that go round.
    fn holder(&self, place: &[String], depth: usize) -> Option<usize> {
        const DEEPEST: usize = 6;
        let (index, rest) =
            (0..=place.len()).rev().find_map(|end| Some((*self.by_place.get(&place[..end])?, &place[end..])))?;
        let module = &self.modules[index];
        let shared = rest.split_first().and_then(|(name, behind)| {
            let shared = module.uses.iter().find(|used| used.is_shared && used.name == *name)?;
            let mut place = absolute(&module.place, &shared.path);
            place.extend_from_slice(behind);
            Some(place)
        });
        match shared {
            Some(next) if depth < DEEPEST && next != place => self.holder(&next, depth + 1).or(Some(index)),
            _ => Some(index),
        }
    }
}

/// All that can be reached from `start` by one edge or more.
fn reached(edges: &[BTreeSet<usize>], start: usize) -> BTreeSet<usize> {
    let mut found = BTreeSet::new();
    let mut open = vec![start];
    while let Some(node) = open.pop() {
        open.extend(edges[node].iter().copied().filter(|next| found.insert(*next)));
    }
    found
}

/// The place of a file's module: `epochs/mod.rs` is `epochs`, `lib.rs` the crate itself.
fn place(file: &str) -> Place {
    let mut place: Place = file.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    if place.last().is_some_and(|last| ["mod", "lib", "main"].contains(&last.as_str())) {
        place.pop();
    }
    place
}

/// A path as seen from the crate. One that names neither crate, self nor super begins here or is another crate's, which leads nowhere.
fn absolute(module: &[String], path: &[String]) -> Place {
    match path.split_first() {
        Some((first, rest)) if first == "crate" => rest.to_vec(),
        Some((first, rest)) if first == "self" => absolute(module, rest),
        Some((first, rest)) if first == "super" => absolute(&module[..module.len().saturating_sub(1)], rest),
        _ => [module, path].concat(),
    }
}

/// Every name that the `use` declarations of these lines bring in.
fn uses(lines: &[&str]) -> Vec<Use> {
    let mut found = Vec::new();
    let mut open: Option<(bool, String)> = None;
    for line in lines {
        let line = line.split_once("//").map_or(*line, |(before, _)| before).trim();
        match &mut open {
            Some((_, tree)) => tree.push_str(line),
            None => open = declaration(line).map(|(is_shared, tree)| (is_shared, tree.to_owned())),
        }
        if let Some((is_shared, tree)) = open.take_if(|(_, tree)| tree.ends_with(';')) {
            leaves(&[], tree.trim_end_matches(';'), is_shared, &mut found);
        }
    }
    found
}

/// What follows `use`, and whether others see it (`pub`, `pub(crate)`, …).
fn declaration(line: &str) -> Option<(bool, &str)> {
    if let Some(tree) = line.strip_prefix("use ") {
        return Some((false, tree));
    }
    let rest = line.strip_prefix("pub")?;
    let rest = match rest.strip_prefix('(') {
        Some(inside) => inside.split_once(')')?.1,
        None => rest,
    };
    rest.strip_prefix(" use ").map(|tree| (true, tree))
}

/// The names of a tree: `a::{b, c::{self, d as e}}` brings in `b`, `c` and `e`.
fn leaves(above: &[String], tree: &str, is_shared: bool, found: &mut Vec<Use>) {
    let joined = |part: &str| -> Place {
        let names = part.trim().split("::").filter(|name| !name.is_empty()).map(str::to_owned);
        above.iter().cloned().chain(names).collect()
    };
    if let Some((head, group)) = tree.split_once('{') {
        let path = joined(head);
        for part in group.rsplit_once('}').map_or(vec![group], |(inside, _)| at_commas(inside)) {
            leaves(&path, part, is_shared, found);
        }
        return;
    }
    let (path, alias) = tree.split_once(" as ").map_or((tree, None), |(path, alias)| (path, Some(alias.trim())));
    let mut path = joined(path);
    if path.len() > 1 && path.last().is_some_and(|last| last == "self") {
        path.pop();
    }
    if let Some(last) = path.last() {
        let name = alias.unwrap_or(last).to_owned();
        found.push(Use { path, name, is_shared });
    }
}

/// The parts of a group between its own commas, without empty ones.
fn at_commas(group: &str) -> Vec<&str> {
    let mut depth = 0_i32;
    let is_comma = |letter: char| {
        depth += i32::from(letter == '{') - i32::from(letter == '}');
        letter == ',' && depth == 0
    };
    group.split(is_comma).map(str::trim).filter(|part| !part.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rings(files: &[(&str, &str)]) -> Vec<Vec<String>> {
        let folder = Path::new("src");
        let texts: Vec<(PathBuf, String)> =
            files.iter().map(|(name, text)| (folder.join(name), (*text).to_owned())).collect();
        Modules::of(folder, &texts).rings()
    }

    #[test]
    fn a_declaration_is_read_to_its_leaves() {
        let text = "pub(crate) use crate::{\n    a::{self, B as C}, // why\n    d::E,\n};\nlet x = crate::f();";
        let lines: Vec<&str> = text.lines().collect();
        let names: Vec<(String, String, bool)> =
            uses(&lines).into_iter().map(|used| (used.path.join("::"), used.name, used.is_shared)).collect();
        let wanted = [("crate::a", "a"), ("crate::a::B", "C"), ("crate::d::E", "E")];
        assert_eq!(names, wanted.map(|(path, name)| (path.to_owned(), name.to_owned(), true)));
    }

    #[test]
    fn files_that_need_each_other_are_a_ring_and_others_are_not() {
        let found = rings(&[
            ("lib.rs", "mod a;\nmod b;\nmod c;\npub use b::B;\npub use c::{C, D};\n"),
            ("a.rs", "use crate::B;\n"),
            ("b.rs", "use crate::c::deep::Deep;\nuse crate::lost::Lost;\n"),
            ("c/mod.rs", "pub(crate) mod deep;\n"),
            ("c/deep.rs", "pub(super) use std::fmt;\nuse crate::{\n    a::A,\n    C,\n};\n"),
            ("d.rs", "use crate::{a::A, B};\n"),
        ]);
        assert_eq!(found, [["a.rs", "b.rs", "c/deep.rs"]]);
    }

    #[test]
    fn tests_are_in_no_ring() {
        let within = "#[cfg(test)]\nmod tests {\n    use crate::a::A;\n}\n";
        assert!(rings(&[("a.rs", "use crate::b::B;\n"), ("b.rs", within)]).is_empty());
        let apart = [
            ("a.rs", "#[cfg(test)]\nmod tests;\n"),
            ("a/tests.rs", "use crate::b::B;\n"),
            ("b.rs", "use crate::a::tests::Held;\n"),
        ];
        assert!(rings(&apart).is_empty());
    }
}
