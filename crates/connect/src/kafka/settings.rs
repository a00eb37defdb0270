//! The `kafka` block of a source table.

use std::{path::PathBuf, time::Duration};

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::source::{ConfigProblem, Fields, Secret};

/// Where a partition begins of which the caller knows no position.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Start {
    /// At the earliest record the broker has.
    #[default]
    Earliest,
    /// Behind the last one. The place is delivered as a batch without records, so that a restart goes on from there.
    Latest,
}

/// How the connection is secured, in Kafka's words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Security {
    /// Neither encrypted nor authenticated.
    #[default]
    Plaintext,
    /// TLS.
    Ssl,
    /// SASL without encryption.
    SaslPlaintext,
    /// SASL over TLS.
    SaslSsl,
}

impl Security {
    pub(super) fn is_encrypted(self) -> bool {
        matches!(self, Self::Ssl | Self::SaslSsl)
    }

    pub(super) fn is_authenticated(self) -> bool {
        matches!(self, Self::SaslPlaintext | Self::SaslSsl)
    }
}

/// How a SASL password is shown to the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum SaslMechanism {
    /// As it is.
    #[serde(rename = "PLAIN")]
    Plain,
    /// By a challenge, SHA-256.
    #[serde(rename = "SCRAM-SHA-256")]
    ScramSha256,
    /// By a challenge, SHA-512.
    #[serde(rename = "SCRAM-SHA-512")]
    ScramSha512,
}

/// Who connects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sasl {
    /// `mechanism`: default PLAIN.
    pub mechanism: SaslMechanism,
    /// `username`.
    pub username: String,
    /// `password`.
    pub password: Secret,
}

/// What a source table says about its topics, with every default filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KafkaSettings {
    /// `brokers`: `host:port` of those asked first; a text with commas or a list.
    pub brokers: Vec<String>,
    /// `topics`: a text with commas or a list.
    pub topics: Vec<String>,
    /// `group`: the consumer group; by default one named for the source table.
    pub group: Option<String>,
    /// `start`: default earliest.
    pub start: Start,
    /// `security`: default plaintext.
    pub security: Security,
    /// `sasl`: who connects; needed by the two `sasl_…` kinds of security.
    pub sasl: Option<Sasl>,
    /// `tls.ca_file`: PEM; only servers signed by these certificates are trusted. Default: those the machine trusts.
    pub ca_file: Option<PathBuf>,
    /// `max_batch_records`: a batch is delivered once it has so many records (default 10,000).
    pub max_batch_records: usize,
    /// `max_batch_bytes`: or so many bytes of keys and values (default 16 MiB).
    pub max_batch_bytes: usize,
    /// `max_wait_ms`: or its first record has waited so long (default 50).
    pub max_wait: Duration,
    /// `session_timeout_ms`: a process that died without leaving its group keeps its partitions so long (default 10,000).
    pub session_timeout: Duration,
}

const DEFAULT_BATCH_RECORDS: usize = 10_000;
const DEFAULT_BATCH_BYTES: usize = 16 * 1024 * 1024;
const DEFAULT_WAIT_MS: u64 = 50;
const DEFAULT_SESSION_TIMEOUT_MS: u64 = 10_000;
/// What brokers accept unless they were told otherwise.
const SESSION_TIMEOUT_MS: std::ops::RangeInclusive<u64> = 6_000..=1_800_000;
/// Event Hubs speaks Kafka on this port, always by TLS.
const EVENT_HUBS_PORT: u16 = 9093;
/// The user name by which Event Hubs takes the password for a connection string.
const EVENT_HUBS_USER: &str = "$ConnectionString";

impl KafkaSettings {
    /// Reads the block; every problem is added with its dotted path. `None` if there was one.
    pub(crate) fn from_map(values: Map<String, Value>, problems: &mut Vec<ConfigProblem>) -> Option<Self> {
        let before = problems.len();
        let (mut sasl_block, mut tls_block) = (None, None);
        let mut fields = Fields::new("kafka", values, problems);
        let is_hub = fields.has("event_hubs");
        let hub: Option<String> = fields.take("event_hubs", "the connection string of an Event Hubs namespace or hub");
        let hub = hub.and_then(|text| {
            let parsed = EventHub::parse(&text);
            if parsed.is_none() {
                let help = "copy it from the namespace's shared access policies: \
                            `Endpoint=sb://…;SharedAccessKeyName=…;SharedAccessKey=…`";
                fields.problem("event_hubs", "is not a connection string".to_owned(), Some(help.to_owned()));
            }
            parsed
        });
        let brokers = listed(&mut fields, "brokers");
        let topics = listed(&mut fields, "topics");
        let security: Option<Security> = fields.take("security", "one of plaintext, ssl, sasl_plaintext, sasl_ssl");
        for (key, block) in [("sasl", &mut sasl_block), ("tls", &mut tls_block)] {
            match fields.raw(key) {
                None => {}
                Some(Value::Object(map)) => *block = Some(map),
                Some(_) => fields.problem(key, "must be a block of settings".to_owned(), None),
            }
        }
        if is_hub {
            let given =
                [("brokers", brokers.is_some()), ("security", security.is_some()), ("sasl", sasl_block.is_some())];
            for (key, _) in given.into_iter().filter(|(_, is_given)| *is_given) {
                let message = "is already said by `event_hubs`".to_owned();
                fields.problem(key, message, Some("leave one of the two out".to_owned()));
            }
        }
        let mut settings = Self {
            brokers: brokers.unwrap_or_default(),
            topics: topics.unwrap_or_default(),
            group: fields.take("group", "the name of a consumer group"),
            start: fields.take("start", "`earliest` or `latest`").unwrap_or_default(),
            security: security.unwrap_or_default(),
            sasl: None,
            ca_file: None,
            max_batch_records: fields.take("max_batch_records", "a number").unwrap_or(DEFAULT_BATCH_RECORDS),
            max_batch_bytes: fields.take("max_batch_bytes", "a number of bytes").unwrap_or(DEFAULT_BATCH_BYTES),
            max_wait: milliseconds(&mut fields, "max_wait_ms", DEFAULT_WAIT_MS),
            session_timeout: milliseconds(&mut fields, "session_timeout_ms", DEFAULT_SESSION_TIMEOUT_MS),
        };
        settings.adopt(hub);
        settings.check(&mut fields, is_hub, sasl_block.is_some(), tls_block.is_some());
        fields.finish();
        settings.sasl = settings.sasl.take().or_else(|| sasl_block.and_then(|map| sasl(map, problems)));
        settings.ca_file = tls_block.and_then(|map| ca_file(map, problems));
        (problems.len() == before).then_some(settings)
    }

    /// The consumer group: the one that was named, or one of the source table's name.
    pub(super) fn group(&self, label: &str) -> String {
        self.group.clone().unwrap_or_else(|| format!("wardlake-{}", label.replace('.', "-")))
    }

    fn adopt(&mut self, hub: Option<EventHub>) {
        let Some(hub) = hub else { return };
        self.brokers = vec![hub.broker];
        self.security = Security::SaslSsl;
        self.sasl = Some(Sasl {
            mechanism: SaslMechanism::Plain,
            username: EVENT_HUBS_USER.to_owned(),
            password: hub.password,
        });
        if self.topics.is_empty() {
            self.topics.extend(hub.entity);
        }
    }

    fn check(&self, fields: &mut Fields<'_>, is_hub: bool, has_sasl: bool, has_tls: bool) {
        if self.brokers.is_empty() && !is_hub {
            let help = "name one or more as `host:port`, or give `event_hubs` a connection string";
            fields.problem("brokers", "are missing".to_owned(), Some(help.to_owned()));
        }
        for broker in self.brokers.iter().filter(|broker| !is_address(broker)) {
            let help = Some(format!("write it as `{}:9092`", broker.split(':').next().unwrap_or_default()));
            fields.problem("brokers", format!("`{broker}` is not of the form `host:port`"), help);
        }
        if self.topics.is_empty() {
            let help = is_hub.then(|| "name them, or use a connection string with `EntityPath`".to_owned());
            fields.problem("topics", "are missing".to_owned(), help);
        }
        // A connection string brings its own.
        if self.security.is_authenticated() && !has_sasl && !is_hub {
            let help = "give `username` and `password`".to_owned();
            fields.problem("sasl", "is needed by this kind of `security`".to_owned(), Some(help));
        }
        if has_sasl && !self.security.is_authenticated() {
            let help = "set `security: sasl_ssl` (or `sasl_plaintext`)".to_owned();
            fields.problem("sasl", "is not used by this kind of `security`".to_owned(), Some(help));
        }
        if has_tls && !self.security.is_encrypted() {
            let help = "set `security: ssl` or `sasl_ssl`".to_owned();
            fields.problem("tls", "is not used by this kind of `security`".to_owned(), Some(help));
        }
        for (key, value) in [("max_batch_records", self.max_batch_records), ("max_batch_bytes", self.max_batch_bytes)] {
            // The protocol counts both in 32 bits.
            if !(1..=i32::MAX as usize).contains(&value) {
                fields.problem(key, format!("must be between 1 and {}", i32::MAX), None);
            }
        }
        if !SESSION_TIMEOUT_MS.contains(&(self.session_timeout.as_millis() as u64)) {
            let (least, most) = (SESSION_TIMEOUT_MS.start(), SESSION_TIMEOUT_MS.end());
            fields.problem("session_timeout_ms", format!("must be between {least} and {most}"), None);
        }
    }
}

/// What a connection string of Event Hubs says.
struct EventHub {
    broker: String,
    entity: Option<String>,
    password: Secret,
}

impl EventHub {
    /// `Endpoint=sb://<namespace>.servicebus.windows.net/;SharedAccessKeyName=…;SharedAccessKey=…;EntityPath=<hub>`; the key
    /// may hold `=`. The whole string is the password.
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let part = |name: &str| {
            let mut pairs = text.split(';').filter_map(|pair| pair.split_once('='));
            pairs.find(|(key, _)| key.trim().eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
        };
        let host = part("Endpoint")?.strip_prefix("sb://")?.trim_end_matches('/');
        let host = host.split(':').next().filter(|host| !host.is_empty() && !host.contains('/'))?;
        // One of the two ways to prove who connects must be there.
        part("SharedAccessKey").or(part("SharedAccessSignature")).filter(|key| !key.is_empty())?;
        Some(Self {
            broker: format!("{host}:{EVENT_HUBS_PORT}"),
            entity: part("EntityPath").filter(|name| !name.is_empty()).map(str::to_owned),
            password: Secret::new(text),
        })
    }
}

/// A text with commas, or a list of texts. `None` where the setting is absent.
fn listed(fields: &mut Fields<'_>, key: &'static str) -> Option<Vec<String>> {
    let texts = fields.texts(key)?;
    let names = texts.iter().flat_map(|text| text.split(',')).map(str::trim).filter(|name| !name.is_empty());
    Some(names.map(str::to_owned).collect())
}

fn is_address(broker: &str) -> bool {
    broker.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
}

fn milliseconds(fields: &mut Fields<'_>, key: &'static str, default: u64) -> Duration {
    Duration::from_millis(fields.take(key, "a number of milliseconds").unwrap_or(default))
}

fn sasl(values: Map<String, Value>, problems: &mut Vec<ConfigProblem>) -> Option<Sasl> {
    let mut fields = Fields::new("kafka.sasl", values, problems);
    let mechanism = fields.take("mechanism", "one of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512");
    let mut text = |key: &'static str| {
        let is_given = fields.has(key);
        let text: Option<String> = fields.take(key, "a text");
        // A variable of the environment that is not set renders as an empty text.
        if text.as_deref().map_or(!is_given, str::is_empty) {
            fields.problem(key, "is missing".to_owned(), Some("is the variable of the environment set?".to_owned()));
        }
        text
    };
    let (username, password) = (text("username"), text("password"));
    fields.finish();
    Some(Sasl {
        mechanism: mechanism.unwrap_or(SaslMechanism::Plain),
        username: username?,
        password: Secret::new(password?),
    })
}

fn ca_file(values: Map<String, Value>, problems: &mut Vec<ConfigProblem>) -> Option<PathBuf> {
    let mut fields = Fields::new("kafka.tls", values, problems);
    let file = fields.take("ca_file", "the path of a PEM file");
    fields.finish();
    file
}
