//! Checksums of the lake's own small files. A digit that a disk changed leaves JSON that is as good as before and says something else:
//! another version of a table, another range of values, by which a file with the wanted rows is passed over.
//!
//! Delta's commits have none of their own. Ours carry one of all their bytes in `commitInfo`, which is theirs to fill and to which nobody else
//! looks. It stands at the very beginning: what is cut off behind it is missed. Those of other writers and of older programs have none.
//! A checkpoint is written by the library; its checksum lies beside it.

use bytes::Bytes;
use wardlake_core::RowHasher;

/// How a commit begins: the library puts `commitInfo` first.
const BEGINNING: &[u8] = b"{\"commitInfo\":{";
/// What stands before the digits, and what behind them.
const SEAL: (&[u8], &[u8]) = (b"\"wardlakeChecksum\":\"", b"\",");
const DIGITS: usize = 32;

/// As hexadecimal digits.
pub(crate) fn checksum(bytes: impl AsRef<[u8]>) -> String {
    let mut hasher = RowHasher::default();
    hasher.field(Some(bytes.as_ref()));
    hasher.finish().to_string()
}

/// A commit with the checksum of its bytes; as it is, if it begins in another way.
pub(crate) fn sealed_commit(commit: Bytes) -> Bytes {
    match commit.strip_prefix(BEGINNING).filter(|rest| rest.starts_with(b"\"")) {
        Some(rest) => Bytes::from([BEGINNING, SEAL.0, checksum(rest).as_bytes(), SEAL.1, rest].concat()),
        None => commit,
    }
}

/// Whether a commit is as it was written, as far as it says.
pub(crate) fn is_commit_as_written(commit: &[u8]) -> bool {
    let seal = commit.strip_prefix(BEGINNING).and_then(|rest| rest.strip_prefix(SEAL.0));
    let Some((sum, rest)) = seal.and_then(|rest| rest.split_at_checked(DIGITS)) else { return true };
    rest.strip_prefix(SEAL.1).is_some_and(|rest| checksum(rest).as_bytes() == sum)
}

/// What is noted beside a file that somebody else writes for us: its checksum, and how long it is.
pub(crate) fn note_of(file: &[u8]) -> String {
    format!("{} {}", checksum(file), file.len())
}

/// Whether a file is the one that was noted, as far as that says: of another length it is one that another engine wrote again, who does not
/// know of the note.
pub(crate) fn is_as_noted(file: &[u8], note: &[u8]) -> bool {
    let own = note_of(file);
    let (own_sum, own_length) = own.split_at(DIGITS);
    match note.split_at_checked(DIGITS) {
        Some((sum, length)) if length == own_length.as_bytes() => sum == own_sum.as_bytes(),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_the_one_that_was_noted_or_another_ones() {
        let note = note_of(b"abc");
        let (changed, longer, whole) = (b"abd", b"abcd", b"abc");
        assert!(is_as_noted(whole, note.as_bytes()) && !is_as_noted(changed, note.as_bytes()));
        assert!(is_as_noted(longer, note.as_bytes()) && is_as_noted(whole, b"") && is_as_noted(whole, &[0; 35]));
    }

    const COMMIT: &str = r#"{"commitInfo":{"timestamp":1,"operation":"WRITE"}}
{"add":{"path":"p","partitionValues":{},"size":10,"dataChange":true,"stats":"{\"maxValues\":{\"k\":7}}"}}
{"txn":{"appId":"a","version":4}}"#;

    #[test]
    fn each_changed_bit_of_a_commit_is_found_or_changes_nothing_that_is_read() {
        let sealed = sealed_commit(Bytes::from(COMMIT));
        assert!(is_commit_as_written(&sealed) && is_commit_as_written(COMMIT.as_bytes()));
        let lines = serde_json::Deserializer::from_slice(&sealed).into_iter::<serde_json::Value>();
        let lines: Vec<serde_json::Value> = lines.collect::<Result<_, _>>().unwrap();
        assert_eq!((lines.len(), &lines[0]["commitInfo"]["operation"]), (3, &"WRITE".into()));
        let begins = BEGINNING.len() + SEAL.0.len();
        for bit in 0..sealed.len() * 8 {
            let mut damaged = sealed.to_vec();
            damaged[bit / 8] ^= 1 << (bit % 8);
            // Where the checksum is no longer known as one, all that it is of is whole.
            assert_eq!(is_commit_as_written(&damaged), bit / 8 < begins, "bit {bit}");
        }
        for end in begins + DIGITS..sealed.len() {
            assert!(!is_commit_as_written(&sealed[..end]), "cut at {end}");
        }
    }
}
