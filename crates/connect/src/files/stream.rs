//! One pass over a file: its raw bytes are hashed and copied as they are read, then uncompressed, and UTF-16 becomes
//! UTF-8. Other encodings agree with ASCII where records are split, so each record is decoded where it is parsed.

use std::{
    fs::File,
    io::{self, BufReader, Read, Write},
    path::{Path, PathBuf},
};

use encoding_rs::{CoderResult, Decoder, DecoderResult, UTF_16BE, UTF_16LE};
use flate2::bufread::MultiGzDecoder;
use sha2::{Digest, Sha256};
use wardlake_core::hex;

use crate::{
    ConnectError,
    files::{FoundFile, foreign::Foreign},
    source::{Compression, Encoding},
};

const READ_BYTES: usize = 256 * 1024;
/// A byte that no UTF-8 text holds: it stands for a broken UTF-16 unit, so that the record around it is rejected.
const BROKEN: u8 = 0xFF;

/// The copy of the raw bytes.
pub(crate) type Tee<'t> = &'t mut (dyn Write + Send);

/// Where raw bytes come from.
enum Input<'t> {
    File(File),
    Bytes(&'t [u8]),
}

impl Read for Input<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::File(file) => file.read(buffer),
            Self::Bytes(bytes) => bytes.read(buffer),
        }
    }
}

/// The raw bytes of a file.
struct Raw<'t> {
    input: Input<'t>,
    sha256: Sha256,
    bytes: u64,
    tee: Option<Tee<'t>>,
    tee_error: Option<io::Error>,
    /// Bytes that were looked at before reading began.
    peeked: Vec<u8>,
}

impl Read for Raw<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = if self.peeked.is_empty() {
            self.input.read(buffer)?
        } else {
            let n = self.peeked.len().min(buffer.len());
            buffer[..n].copy_from_slice(&self.peeked[..n]);
            self.peeked.drain(..n);
            n
        };
        self.sha256.update(&buffer[..n]);
        self.bytes += n as u64;
        if let Some(tee) = &mut self.tee
            && let Err(error) = tee.write_all(&buffer[..n])
        {
            self.tee_error = Some(error);
            return Err(io::Error::other("landing"));
        }
        Ok(n)
    }
}

enum Layers<'t> {
    Plain(Raw<'t>),
    Gzip(Box<MultiGzDecoder<BufReader<Raw<'t>>>>),
    Zstd(zstd::stream::read::Decoder<'static, BufReader<Raw<'t>>>),
}

/// The text of a file.
pub(crate) struct Stream<'t> {
    path: PathBuf,
    size: u64,
    layers: Layers<'t>,
    compression: Compression,
    utf16: Option<Utf16>,
    encoding: Encoding,
    mark: u64,
    ended: bool,
}

/// What was read, known after the last byte.
pub(crate) struct Totals {
    pub(crate) bytes: u64,
    pub(crate) sha256: String,
}

impl<'t> Stream<'t> {
    pub(crate) fn open(file: &FoundFile, compression: Compression, tee: Option<Tee<'t>>) -> Result<Self, ConnectError> {
        let unreadable = |source| ConnectError::Unreadable { path: file.path.clone(), source };
        let handle = File::open(&file.path).map_err(unreadable)?;
        Self::begin_with(Input::File(handle), file.path.clone(), file.size, compression, tee)
    }

    /// Bytes that were received; `name` stands for them in errors.
    pub(crate) fn over(bytes: &'t [u8], name: &str, compression: Compression) -> Result<Self, ConnectError> {
        Self::begin_with(Input::Bytes(bytes), PathBuf::from(name), bytes.len() as u64, compression, None)
    }

    fn begin_with(
        mut input: Input<'t>,
        path: PathBuf,
        size: u64,
        compression: Compression,
        tee: Option<Tee<'t>>,
    ) -> Result<Self, ConnectError> {
        let unreadable = |source| ConnectError::Unreadable { path: path.clone(), source };
        let mut peeked = Vec::new();
        (&mut input).take(4).read_to_end(&mut peeked).map_err(unreadable)?;
        let compression = match compression {
            Compression::Auto if peeked.starts_with(&[0x1F, 0x8B]) => Compression::Gzip,
            Compression::Auto if peeked.starts_with(&[0x28, 0xB5, 0x2F, 0xFD]) => Compression::Zstd,
            Compression::Auto => Compression::None,
            known => known,
        };
        let raw = Raw { input, sha256: Sha256::new(), bytes: 0, tee, tee_error: None, peeked };
        let layers = match compression {
            Compression::Gzip => Layers::Gzip(Box::new(MultiGzDecoder::new(BufReader::with_capacity(READ_BYTES, raw)))),
            Compression::Zstd => {
                let reader = BufReader::with_capacity(READ_BYTES, raw);
                Layers::Zstd(zstd::stream::read::Decoder::with_buffer(reader).map_err(unreadable)?)
            }
            _ => Layers::Plain(raw),
        };
        Ok(Self { path, size, layers, compression, utf16: None, encoding: Encoding::Auto, mark: 0, ended: false })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The length of the byte-order mark, which the text does not hold any more.
    pub(crate) fn mark(&self) -> u64 {
        self.mark
    }

    /// Whether the raw bytes begin with `magic` (up to four bytes). Asked before anything is read.
    pub(crate) fn begins_with(&self, magic: &[u8]) -> bool {
        matches!(&self.layers, Layers::Plain(raw) if raw.peeked.starts_with(magic))
    }

    pub(crate) fn compression(&self) -> Compression {
        self.compression
    }

    /// The encoding that records are to be read by: `Auto` means "UTF-8, else Windows-1252, record by record".
    pub(crate) fn record_encoding(&self) -> Encoding {
        if self.utf16.is_some() { Encoding::Utf8 } else { self.encoding }
    }

    /// The encoding of the file as a whole.
    pub(crate) fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// Reads the first `target` bytes into `buffer` and settles the encoding by them; a byte-order mark is left out. An error if they are
    /// certainly no text.
    pub(crate) fn begin(
        &mut self,
        buffer: &mut Vec<u8>,
        target: usize,
        declared: Encoding,
    ) -> Result<bool, ConnectError> {
        let ended = self.fill(buffer, target)?;
        if let Some(found) = Foreign::of_bytes(buffer) {
            return Err(found.refused(&self.path));
        }
        let (encoding, mark) = detect(buffer, declared);
        self.encoding = encoding;
        self.mark = mark as u64;
        buffer.drain(..mark);
        let decoder = match encoding {
            Encoding::Utf16Le => UTF_16LE.new_decoder_without_bom_handling(),
            Encoding::Utf16Be => UTF_16BE.new_decoder_without_bom_handling(),
            _ => return Ok(ended),
        };
        let mut utf16 = Utf16 { decoder, raw: Vec::new() };
        let head = std::mem::take(buffer);
        utf16.decode(&head, ended, buffer);
        self.utf16 = Some(utf16);
        Ok(ended)
    }

    /// Appends text until `buffer` holds at least `target` bytes; true at the end of the file.
    pub(crate) fn fill(&mut self, buffer: &mut Vec<u8>, target: usize) -> Result<bool, ConnectError> {
        while !self.ended && buffer.len() < target {
            let missing = target - buffer.len();
            let Some(mut utf16) = self.utf16.take() else {
                let read = self.read_some(buffer, missing)?;
                self.ended = read < missing;
                continue;
            };
            let mut raw = std::mem::take(&mut utf16.raw);
            raw.clear();
            let read = self.read_some(&mut raw, missing)?;
            self.ended = read < missing;
            utf16.decode(&raw, self.ended, buffer);
            utf16.raw = raw;
            self.utf16 = Some(utf16);
        }
        Ok(self.ended)
    }

    fn read_some(&mut self, buffer: &mut Vec<u8>, limit: usize) -> Result<usize, ConnectError> {
        let limit = limit as u64;
        let result = match &mut self.layers {
            Layers::Plain(raw) => raw.take(limit).read_to_end(buffer),
            Layers::Gzip(decoder) => decoder.take(limit).read_to_end(buffer),
            Layers::Zstd(decoder) => decoder.take(limit).read_to_end(buffer),
        };
        result.map_err(|error| self.error(error))
    }

    fn error(&mut self, source: io::Error) -> ConnectError {
        let path = self.path.clone();
        let raw = match &mut self.layers {
            Layers::Plain(raw) => raw,
            Layers::Gzip(decoder) => decoder.get_mut().get_mut(),
            Layers::Zstd(decoder) => decoder.get_mut().get_mut(),
        };
        if let Some(source) = raw.tee_error.take() {
            return ConnectError::Landing { path, source };
        }
        let format = match self.compression {
            Compression::Gzip => "gzip",
            Compression::Zstd => "zstd",
            _ => return ConnectError::Unreadable { path, source },
        };
        match source.kind() {
            io::ErrorKind::UnexpectedEof => {
                ConnectError::Unfinished { path, reason: "its compressed data ends in the middle" }
            }
            io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied => ConnectError::Unreadable { path, source },
            _ => ConnectError::Corrupt { path, format, message: source.to_string() },
        }
    }

    /// Reads what is left of the raw bytes, and checks that the file is still the one that was found.
    pub(crate) fn finish(self) -> Result<Totals, ConnectError> {
        let path = self.path.clone();
        let mut raw = match self.layers {
            Layers::Plain(raw) => raw,
            Layers::Gzip(decoder) => decoder.into_inner().into_inner(),
            Layers::Zstd(decoder) => decoder.finish().into_inner(),
        };
        if let Err(source) = io::copy(&mut raw, &mut io::sink()) {
            return Err(match raw.tee_error.take() {
                Some(source) => ConnectError::Landing { path, source },
                None => ConnectError::Unreadable { path, source },
            });
        }
        let size_now = match &raw.input {
            Input::File(file) => {
                file.metadata().map_err(|source| ConnectError::Unreadable { path: path.clone(), source })?.len()
            }
            Input::Bytes(_) => self.size,
        };
        if raw.bytes != self.size || raw.bytes != size_now {
            return Err(ConnectError::Unfinished { path, reason: "its size changed while it was read" });
        }
        Ok(Totals { bytes: raw.bytes, sha256: hex(&raw.sha256.finalize()) })
    }
}

/// The encoding of a text that starts with `head`, and the length of its byte-order mark.
fn detect(head: &[u8], declared: Encoding) -> (Encoding, usize) {
    let mark = if head.starts_with(&[0xEF, 0xBB, 0xBF]) {
        Some((Encoding::Utf8, 3))
    } else if head.starts_with(&[0xFF, 0xFE]) {
        Some((Encoding::Utf16Le, 2))
    } else if head.starts_with(&[0xFE, 0xFF]) {
        Some((Encoding::Utf16Be, 2))
    } else {
        None
    };
    match (declared, mark) {
        (Encoding::Auto, Some(found)) => found,
        (Encoding::Auto, None) => (utf16_by_zeros(head).unwrap_or(Encoding::Auto), 0),
        (Encoding::Utf16, Some(found @ (Encoding::Utf16Le | Encoding::Utf16Be, _))) => found,
        (Encoding::Utf16, _) => (utf16_by_zeros(head).unwrap_or(Encoding::Utf16Le), 0),
        (declared, Some((found, length))) if declared == found => (declared, length),
        (declared, _) => (declared, 0),
    }
}

/// Western text in UTF-16 has a NUL in every second byte.
fn utf16_by_zeros(head: &[u8]) -> Option<Encoding> {
    let head = &head[..head.len().min(1024) & !1];
    let zeros = |start: usize| head.iter().skip(start).step_by(2).filter(|byte| **byte == 0).count();
    let (even, odd, pairs) = (zeros(0), zeros(1), head.len() / 2);
    if pairs < 2 {
        None
    } else if odd * 2 > pairs && even == 0 {
        Some(Encoding::Utf16Le)
    } else if even * 2 > pairs && odd == 0 {
        Some(Encoding::Utf16Be)
    } else {
        None
    }
}

struct Utf16 {
    decoder: Decoder,
    raw: Vec<u8>,
}

impl Utf16 {
    fn decode(&mut self, mut source: &[u8], last: bool, out: &mut Vec<u8>) {
        loop {
            let start = out.len();
            let room =
                self.decoder.max_utf8_buffer_length_without_replacement(source.len()).unwrap_or(source.len() * 3 + 8);
            out.resize(start + room, 0);
            let (result, read, written) =
                self.decoder.decode_to_utf8_without_replacement(source, &mut out[start..], last);
            out.truncate(start + written);
            source = &source[read..];
            match result {
                DecoderResult::InputEmpty => return,
                DecoderResult::OutputFull => {}
                DecoderResult::Malformed(..) => out.push(BROKEN),
            }
        }
    }
}

/// Decodes bytes of a single-byte encoding (`Auto` falls back to Windows-1252) behind `out`.
pub(crate) fn decode_single_byte(encoding: Encoding, bytes: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    if encoding == Encoding::Latin1 {
        out.resize(start + bytes.len() * 2, 0);
        let written = encoding_rs::mem::convert_latin1_to_utf8(bytes, &mut out[start..]);
        out.truncate(start + written);
        return;
    }
    let mut decoder = encoding_rs::WINDOWS_1252.new_decoder_without_bom_handling();
    out.resize(start + bytes.len() * 3 + 4, 0);
    let (result, _, written, _) = decoder.decode_to_utf8(bytes, &mut out[start..], true);
    debug_assert!(matches!(result, CoderResult::InputEmpty));
    out.truncate(start + written);
}
