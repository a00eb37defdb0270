//! Damage of a file on disk, by chance that can be repeated.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// SplitMix64, from its seed.
#[derive(Debug)]
pub struct Random(pub u64);

impl Random {
    /// The next number below `end`, which is above zero.
    pub fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % end as u64) as usize
    }
}

/// The files below a folder, in order.
pub fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        match path.is_dir() {
            true => found.extend(files(&path)?),
            false => found.push(path),
        }
    }
    found.sort();
    Ok(found)
}

/// Flips a bit of a file, cuts it, zeroes a page that never reached the disk, or deletes it. Says how, with the file's name below `root`.
pub fn damage(root: &Path, path: &Path, random: &mut Random) -> io::Result<String> {
    const PAGE: usize = 512;
    let mut bytes = fs::read(path)?;
    let at = random.below(bytes.len().max(1));
    let how = ["flipped", "cut", "zeroed", "lost"][random.below(4)];
    match how {
        "flipped" if !bytes.is_empty() => bytes[at] ^= 1 << random.below(8),
        "cut" => bytes.truncate(at),
        "zeroed" => {
            let start = at - at % PAGE;
            let end = (start + PAGE).min(bytes.len());
            bytes[start..end].fill(0);
        }
        _ => {}
    }
    match how {
        "lost" => fs::remove_file(path)?,
        _ => fs::write(path, &bytes)?,
    }
    Ok(format!("{how} at {at}: {}", path.strip_prefix(root).unwrap_or(path).display()))
}

/// A commit of a Delta log as others write it, and as Wardlake did: without the checksum that those of today carry.
pub fn without_checksum(commit: &str) -> String {
    let seal = commit.split_once("\"wardlakeChecksum\":\"");
    let parts = seal.and_then(|(before, rest)| Some((before, rest.split_once("\",")?.1)));
    parts.map_or_else(|| commit.to_owned(), |(before, behind)| format!("{before}{behind}"))
}
