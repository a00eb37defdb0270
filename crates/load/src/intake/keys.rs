//! Deliveries that were seen before, by key.

use std::collections::{HashMap, VecDeque};

use wardlake_core::RowHasher;

use super::{Receipt, segment::Frame};

/// So many keys are remembered whatever the clock says: it may jump.
const LEAST_KEYS: usize = 200_000;

/// Keys and what was delivered under them.
#[derive(Debug)]
pub(crate) struct Keys {
    known: HashMap<u128, Known>,
    order: VecDeque<(u128, i64)>,
    window_us: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Known {
    content: u128,
    first_row: u64,
    rows: u32,
}

/// A delivery by its key, as other journals of the table hear of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Noted {
    key: u128,
    known: Known,
}

impl Noted {
    /// None of a frame without a key.
    pub(crate) fn of(frame: &Frame) -> Option<Self> {
        if frame.key.is_empty() {
            return None;
        }
        let content = hash(&[frame.payload.as_slice()]);
        let known = Known { content, first_row: frame.first_row, rows: frame.rows };
        Some(Self { key: hash(&[frame.key.as_slice()]), known })
    }

    /// Key and content: what makes two deliveries one.
    pub(crate) fn delivery(&self) -> (u128, u128) {
        (self.key, self.known.content)
    }

    /// For [`Noted::read`]. It tells nothing of key and content themselves.
    pub(crate) fn text(&self) -> String {
        let Known { content, first_row, rows } = self.known;
        format!("{:032x} {content:032x} {first_row} {rows}", self.key)
    }

    pub(crate) fn read(text: &str) -> Option<Self> {
        let mut parts = text.split(' ');
        let mut hash = || u128::from_str_radix(parts.next()?, 16).ok();
        let (key, content) = (hash()?, hash()?);
        let (first_row, rows) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        Some(Self { key, known: Known { content, first_row, rows } })
    }
}

/// What is known of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// Nothing.
    New,
    /// The same key and content.
    Repeated(Receipt),
    /// The same key with other content.
    Reused,
}

fn hash(parts: &[&[u8]]) -> u128 {
    let mut hasher = RowHasher::default();
    parts.iter().for_each(|part| hasher.field(Some(part)));
    hasher.finish().0
}

impl Keys {
    pub(crate) fn new(window: std::time::Duration) -> Self {
        let window_us = i64::try_from(window.as_micros()).unwrap_or(i64::MAX);
        Self { known: HashMap::new(), order: VecDeque::new(), window_us }
    }

    /// What was delivered under the key; an empty key is never known.
    pub(crate) fn seen(&self, key: &[u8], payload: &[u8]) -> Seen {
        if key.is_empty() {
            return Seen::New;
        }
        match self.known.get(&hash(&[key])) {
            None => Seen::New,
            Some(known) if known.content == hash(&[payload]) => {
                Seen::Repeated(Receipt { first_row: known.first_row, rows: known.rows, is_repeated: true })
            }
            Some(_) => Seen::Reused,
        }
    }

    /// Remembers a delivery, and forgets those that are out of the window.
    pub(crate) fn note(&mut self, key: &[u8], payload: &[u8], receipt: Receipt, received_us: i64) {
        if key.is_empty() {
            return;
        }
        let key = hash(&[key]);
        let known = Known { content: hash(&[payload]), first_row: receipt.first_row, rows: receipt.rows };
        if self.known.insert(key, known).is_none() {
            self.order.push_back((key, received_us));
        }
        while self.order.len() > LEAST_KEYS
            && self.order.front().is_some_and(|(_, at)| received_us.saturating_sub(*at) > self.window_us)
        {
            if let Some((key, _)) = self.order.pop_front() {
                self.known.remove(&key);
            }
        }
    }

    /// Remembers a delivery that another journal took.
    pub(crate) fn take_in(&mut self, noted: Noted, received_us: i64) {
        if self.known.insert(noted.key, noted.known).is_none() {
            self.order.push_back((noted.key, received_us));
        }
    }

    /// Forgets a delivery that was noted last and could not be stored.
    pub(crate) fn forget(&mut self, key: &[u8]) {
        if key.is_empty() {
            return;
        }
        let key = hash(&[key]);
        self.known.remove(&key);
        if let Some(place) = self.order.iter().rposition(|(known, _)| *known == key) {
            self.order.remove(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receipt(first_row: u64) -> Receipt {
        Receipt { first_row, rows: 1, is_repeated: false }
    }

    #[test]
    fn a_key_is_known_by_its_content_until_the_window_is_over() {
        let mut keys = Keys::new(std::time::Duration::from_secs(10));
        keys.note(b"a", b"1", receipt(1), 0);
        assert_eq!(keys.seen(b"a", b"1"), Seen::Repeated(Receipt { is_repeated: true, ..receipt(1) }));
        assert_eq!(keys.seen(b"a", b"2"), Seen::Reused);
        assert_eq!(keys.seen(b"", b"1"), Seen::New);
        keys.forget(b"a");
        assert_eq!(keys.seen(b"a", b"1"), Seen::New);
        for number in 0..=LEAST_KEYS as u64 {
            keys.note(&number.to_le_bytes(), b"x", receipt(number), 0);
        }
        // A clock that jumps by years forgets no more than what is over the least.
        keys.note(b"late", b"x", receipt(9), i64::MAX);
        assert_eq!(keys.known.len(), LEAST_KEYS);
        assert_eq!(keys.seen(&0u64.to_le_bytes(), b"x"), Seen::New);
        assert_ne!(keys.seen(&9u64.to_le_bytes(), b"x"), Seen::New);
    }
}
