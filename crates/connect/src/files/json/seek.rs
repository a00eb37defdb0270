//! Finds the records in a JSON document without holding what stands before them: a pushed-through reader that knows the
//! path of the value it is at.

use super::text::is_space;

/// Walks through a document byte by byte.
pub(crate) struct Seeker {
    segments: Vec<String>,
    frames: Vec<Frame>,
    /// Whether the bytes of a string are passing; its text is kept if it is a key on the path.
    in_string: bool,
    escaped: bool,
    key: Option<Vec<u8>>,
    in_scalar: bool,
}

struct Frame {
    is_object: bool,
    /// How many segments of the pointer lead to this container, if any do.
    level: Option<usize>,
    expects_key: bool,
    /// Whether the current key or index is the next segment.
    is_next: bool,
    index: usize,
}

impl Seeker {
    /// `pointer` is a JSON pointer; without one the document itself is looked for.
    pub(crate) fn new(pointer: Option<&str>) -> Self {
        let segments = pointer
            .unwrap_or_default()
            .split('/')
            .skip(1)
            .map(|segment| segment.replace("~1", "/").replace("~0", "~"))
            .collect();
        Self { segments, frames: Vec::new(), in_string: false, escaped: false, key: None, in_scalar: false }
    }

    /// How many containers are open.
    pub(crate) fn depth(&self) -> usize {
        self.frames.len()
    }

    /// Takes bytes until the value that is looked for begins, and returns its place. The value itself is not entered.
    pub(crate) fn find(&mut self, bytes: &[u8]) -> Option<usize> {
        bytes.iter().position(|byte| self.push(*byte, true))
    }

    /// Takes bytes behind the found value until the document is closed, and returns the place behind its end.
    pub(crate) fn close(&mut self, bytes: &[u8]) -> Option<usize> {
        if self.frames.is_empty() {
            return Some(0);
        }
        for (i, byte) in bytes.iter().enumerate() {
            self.push(*byte, false);
            if self.frames.is_empty() {
                return Some(i + 1);
            }
        }
        None
    }

    fn push(&mut self, byte: u8, seeking: bool) -> bool {
        if self.in_string {
            self.string_byte(byte);
            return false;
        }
        match byte {
            _ if is_space(byte) => self.in_scalar = false,
            b':' => {
                if let Some(frame) = self.frames.last_mut() {
                    frame.expects_key = false;
                }
            }
            b',' => {
                self.in_scalar = false;
                let segments = &self.segments;
                if let Some(frame) = self.frames.last_mut() {
                    frame.index += 1;
                    frame.expects_key = frame.is_object;
                    frame.is_next = !frame.is_object && is_index(segments, frame.level, frame.index);
                }
            }
            b'}' | b']' => {
                self.in_scalar = false;
                self.frames.pop();
            }
            b'"' if self.frames.last().is_some_and(|frame| frame.is_object && frame.expects_key) => {
                self.in_string = true;
                self.key = Some(Vec::new());
            }
            _ if self.in_scalar => {}
            _ => return self.value(byte, seeking),
        }
        false
    }

    fn value(&mut self, byte: u8, seeking: bool) -> bool {
        let level = match self.frames.last() {
            None => Some(0),
            Some(frame) => frame.level.filter(|_| frame.is_next).map(|level| level + 1),
        };
        if seeking && level == Some(self.segments.len()) {
            return true;
        }
        match byte {
            b'{' | b'[' => {
                let is_object = byte == b'{';
                let is_next = !is_object && is_index(&self.segments, level, 0);
                self.frames.push(Frame { is_object, level, expects_key: is_object, is_next, index: 0 });
            }
            b'"' => self.in_string = true,
            _ => self.in_scalar = true,
        }
        false
    }

    fn string_byte(&mut self, byte: u8) {
        if !self.escaped && byte == b'"' {
            self.in_string = false;
            if let (Some(key), Some(frame)) = (self.key.take(), self.frames.last_mut()) {
                let segment = frame.level.and_then(|level| self.segments.get(level));
                let mut written = Vec::new();
                frame.is_next = segment
                    .is_some_and(|name| super::unescape(&key, &mut written).is_ok() && written == name.as_bytes());
            }
            return;
        }
        self.escaped = !self.escaped && byte == b'\\';
        if let Some(key) = &mut self.key
            && key.len() < 4096
        {
            key.push(byte);
        }
    }
}

fn is_index(segments: &[String], level: Option<usize>, index: usize) -> bool {
    level.and_then(|level| segments.get(level)).is_some_and(|segment| segment.parse() == Ok(index))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_find_their_value() {
        let document = r#" {"a": [1, {"items": "no"}, {"items": [7]}], "a/b": {"x\"y": {"z": [8]}}, "items": [9]} "#;
        for (pointer, expected) in [
            (None, Some("{\"a\"")),
            (Some(""), Some("{\"a\"")),
            (Some("/items"), Some("[9]")),
            (Some("/a/2/items"), Some("[7]")),
            (Some("/a/0"), Some("1,")),
            (Some("/a~1b/x\"y/z"), Some("[8]")),
            (Some("/nothing"), None),
            (Some("/a/9"), None),
        ] {
            let at = Seeker::new(pointer).find(document.as_bytes());
            match (at, expected) {
                (Some(at), Some(expected)) => assert!(document[at..].starts_with(expected), "{pointer:?}"),
                (at, expected) => assert_eq!(at.is_some(), expected.is_some(), "{pointer:?}"),
            }
        }
    }
}
