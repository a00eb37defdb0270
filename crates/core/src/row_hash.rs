//! Row hashes: XXH3-128 over length-prefixed fields, so that neither NULL and '' nor ('a','bc') and ('ab','c') collide.

use std::fmt;

use twox_hash::XxHash3_128;

/// A 128-bit hash of one row's fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RowHash(pub u128);

impl fmt::Display for RowHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// Collects the fields of a row into one reused buffer and hashes it.
#[derive(Default)]
pub struct RowHasher {
    buffer: Vec<u8>,
}

impl RowHasher {
    /// Adds the next field. NULL is a length no field can have.
    /// Adds the next field. NULL is a length no field can have.
    #[inline]
    pub fn field(&mut self, value: Option<&[u8]>) {
        match value {
            Some(bytes) => {
                self.buffer.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
                self.buffer.extend_from_slice(bytes);
            }
            None => self.buffer.extend_from_slice(&u32::MAX.to_le_bytes()),
        }
    }

    /// Adds a field that is not NULL: `write` appends its text, `length` bytes.
    #[inline]
    pub fn field_with(&mut self, length: usize, write: impl FnOnce(&mut Vec<u8>)) {
        self.buffer.extend_from_slice(&(length as u32).to_le_bytes());
        write(&mut self.buffer);
    }

    /// The hash of the fields added since the last call.
    #[inline]
    pub fn finish(&mut self) -> RowHash {
        let hash = XxHash3_128::oneshot(&self.buffer);
        self.buffer.clear();
        RowHash(hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(fields: &[Option<&str>]) -> RowHash {
        let mut hasher = RowHasher::default();
        for field in fields {
            hasher.field(field.map(str::as_bytes));
        }
        hasher.finish()
    }

    #[test]
    fn null_differs_from_empty_and_borders_count() {
        assert_ne!(hash(&[None]), hash(&[Some("")]));
        assert_ne!(hash(&[Some("a"), Some("bc")]), hash(&[Some("ab"), Some("c")]));
        assert_eq!(hash(&[Some("a"), None]), hash(&[Some("a"), None]));
    }

    #[test]
    fn written_fields_count_as_given_ones() {
        let mut hasher = RowHasher::default();
        hasher.field_with(3, |buffer| buffer.extend_from_slice(b"abc"));
        hasher.field(Some(b""));
        assert_eq!(hasher.finish(), hash(&[Some("abc"), Some("")]));
    }
}
