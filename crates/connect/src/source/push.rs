//! What senders bring. The doors by which they come are the server's; here is what a table lets through them.

use std::fmt;

use super::fields::Fields;

/// The largest request or message, unless the settings say otherwise: 64 MiB.
pub const MAX_BYTES: u64 = 64 << 20;

/// `max_bytes` of a block.
pub(crate) fn max_bytes(fields: &mut Fields<'_>) -> u64 {
    fields.take("max_bytes", "a number of bytes").unwrap_or(MAX_BYTES)
}

/// The door by which deliveries to a table come, and what it has to know of the table.
#[derive(Clone, Copy, Debug)]
pub enum Push<'a> {
    /// Requests: `POST /ingest/<source>/<table>`.
    Requests(Requests<'a>),
    /// HL7 v2 messages over connections to a listener of the table's own.
    Messages(Messages<'a>),
}

impl Push<'_> {
    /// The largest delivery in bytes.
    pub fn max_bytes(&self) -> u64 {
        match self {
            Self::Requests(requests) => requests.max_bytes,
            Self::Messages(messages) => messages.max_bytes,
        }
    }
}

/// What requests have to keep to.
#[derive(Clone, Copy, Debug)]
pub struct Requests<'a> {
    /// Of a request's body, and of what it unpacks to.
    pub max_bytes: u64,
    /// What senders show as `Authorization: Bearer …`; none asks for nothing.
    pub token: Option<&'a Secret>,
}

/// Where messages are listened for, and what they have to keep to.
#[derive(Clone, Copy, Debug)]
pub struct Messages<'a> {
    /// Of a message.
    pub max_bytes: u64,
    /// `address:port`; none where only the command line says it.
    pub listen: Option<&'a str>,
    /// None speaks plain TCP.
    pub tls: Option<&'a TlsFiles>,
}

/// The PEM files of a TLS listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// `certificate`: the chain, own certificate first.
    pub certificate: String,
    /// `key`: its private key.
    pub key: String,
    /// `client_ca`: senders have to show a certificate signed by one of these; none asks for none.
    pub client_ca: Option<String>,
}

/// A text that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes a secret in.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret itself, for the one place that needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether `other` is the secret, in a time that tells nothing about where they differ.
    pub fn is(&self, other: &[u8]) -> bool {
        let own = self.0.as_bytes();
        own.len() == other.len() && own.iter().zip(other).fold(0, |differences, (a, b)| differences | (a ^ b)) == 0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}
