//! The `http` block of a source table: it takes `POST /ingest/<source>/<table>` while a server runs.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::source::{ConfigProblem, Fields, Kind, Push, Requests, Secret, Source, Way, max_bytes};

pub(crate) const KIND: Kind = Kind { key: "http", read };

/// What a source table says about requests, with every default filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HttpSettings {
    /// `token`: what senders show as `Authorization: Bearer …`; none asks for nothing.
    token: Option<Secret>,
    /// `max_bytes`: of a request's body, and of what it unpacks to (default 64 MiB).
    max_bytes: u64,
}

fn read(fields: &mut Fields<'_>) -> Option<Arc<dyn Source>> {
    Some(Arc::new(fields.block_or_true(KIND.key, HttpSettings::from_map)?))
}

impl HttpSettings {
    fn from_map(values: Map<String, Value>, problems: &mut Vec<ConfigProblem>) -> Option<Self> {
        let mut fields = Fields::new("http", values, problems);
        let settings = Self { token: token(&mut fields), max_bytes: max_bytes(&mut fields) };
        fields.finish();
        Some(settings)
    }
}

/// An empty token would let everyone in: it is most often an environment variable that is not set.
fn token(fields: &mut Fields<'_>) -> Option<Secret> {
    let token: String = fields.take("token", "a text")?;
    if token.is_empty() {
        fields.problem(
            "token",
            "must not be empty".to_owned(),
            Some("set the environment variable it is read from, or leave `token` out to ask for none".to_owned()),
        );
    }
    Some(Secret::new(token))
}

impl Source for HttpSettings {
    fn kind(&self) -> &'static str {
        KIND.key
    }

    fn way(&self) -> Way<'_> {
        Way::Push(Push::Requests(Requests { max_bytes: self.max_bytes, token: self.token.as_ref() }))
    }
}
