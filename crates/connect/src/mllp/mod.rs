//! The `mllp` block of a source table: it takes HL7 v2 messages over MLLP while a server runs. What the messages are, and how they are
//! framed and answered, is [`crate::hl7`]'s.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::source::{ConfigProblem, Fields, Kind, Messages, Push, Source, TlsFiles, Way, max_bytes};

pub(crate) const KIND: Kind = Kind { key: "mllp", read };

/// What a source table says about messages, with every default filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MllpSettings {
    /// `listen`: `address:port`; `--mllp` wins over it.
    listen: Option<String>,
    /// `max_bytes`: of a message (default 64 MiB).
    max_bytes: u64,
    /// `tls`: none speaks plain TCP.
    tls: Option<TlsFiles>,
}

fn read(fields: &mut Fields<'_>) -> Option<Arc<dyn Source>> {
    Some(Arc::new(fields.block_or_true(KIND.key, MllpSettings::from_map)?))
}

impl MllpSettings {
    fn from_map(values: Map<String, Value>, problems: &mut Vec<ConfigProblem>) -> Option<Self> {
        let mut fields = Fields::new("mllp", values, problems);
        let settings = Self {
            listen: fields.take("listen", "an address and a port such as `127.0.0.1:2575`"),
            max_bytes: max_bytes(&mut fields),
            tls: fields.block_or_true("tls", tls),
        };
        fields.finish();
        Some(settings)
    }
}

fn tls(values: Map<String, Value>, problems: &mut Vec<ConfigProblem>) -> Option<TlsFiles> {
    let mut fields = Fields::new("mllp.tls", values, problems);
    let mut file = |key: &'static str| match fields.take::<String>(key, "a file") {
        Some(file) => file,
        None => {
            fields.problem(key, "is missing".to_owned(), Some("name a PEM file".to_owned()));
            String::new()
        }
    };
    let (certificate, key) = (file("certificate"), file("key"));
    let files = TlsFiles { certificate, key, client_ca: fields.take("client_ca", "a file") };
    fields.finish();
    Some(files)
}

impl Source for MllpSettings {
    fn kind(&self) -> &'static str {
        KIND.key
    }

    fn way(&self) -> Way<'_> {
        Way::Push(Push::Messages(Messages {
            max_bytes: self.max_bytes,
            listen: self.listen.as_deref(),
            tls: self.tls.as_ref(),
        }))
    }
}
