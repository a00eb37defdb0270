use serde_json::{Value, json};
use wardlake_connect::{
    FileTable,
    kafka::{KafkaSettings, SaslMechanism, Security, Start},
    source::ConfigProblem,
};

/// The settings of a `kafka` block, read as those of a source table.
pub(crate) fn settings(block: Value) -> Result<KafkaSettings, Vec<ConfigProblem>> {
    let table = FileTable::from_json(&Value::Null, &json!({ "kafka": block }))?;
    Ok(table.settings_of::<KafkaSettings>().unwrap().clone())
}

fn problems(block: Value) -> Vec<String> {
    settings(block).unwrap_err().into_iter().map(|problem| format!("{} {}", problem.path, problem.message)).collect()
}

#[test]
fn what_is_left_out_has_a_default() {
    let read = settings(json!({"brokers": "a:9092, b:9093", "topics": "adt"})).unwrap();
    assert_eq!(
        (read.brokers.as_slice(), read.topics.as_slice()),
        (&["a:9092".into(), "b:9093".into()][..], &["adt".into()][..])
    );
    assert_eq!((read.group, read.start, read.security), (None, Start::Earliest, Security::Plaintext));
    assert_eq!((read.max_batch_records, read.max_wait.as_millis()), (10_000, 50));
    let read = settings(json!({
        "brokers": ["a:1"], "topics": ["x", "y"], "group": "g", "start": "latest", "security": "sasl_ssl",
        "sasl": {"mechanism": "SCRAM-SHA-512", "username": "u", "password": "p"}, "tls": {"ca_file": "ca.pem"},
    }));
    let read = read.unwrap();
    assert_eq!((read.start, read.security), (Start::Latest, Security::SaslSsl));
    assert_eq!(read.sasl.unwrap().mechanism, SaslMechanism::ScramSha512);
    assert_eq!(read.ca_file.unwrap().to_str(), Some("ca.pem"));
}

#[test]
fn the_blocks_of_source_and_table_are_merged() {
    let source = json!({"kafka": {"brokers": "a:1", "topics": "all"}});
    let table = FileTable::from_json(&source, &json!({"kafka": {"topics": "adt"}})).unwrap();
    let read = table.settings_of::<KafkaSettings>().unwrap();
    assert_eq!((read.brokers.as_slice(), read.topics.as_slice()), (&["a:1".to_owned()][..], &["adt".to_owned()][..]));
}

#[test]
fn a_table_needs_a_path_only_where_nothing_else_feeds_it() {
    for block in [json!({"http": {}}), json!({"mllp": {}}), json!({"kafka": {"brokers": "a:1", "topics": "t"}})] {
        assert!(FileTable::from_json(&Value::Null, &block).unwrap().extracts().is_none(), "{block}");
    }
    let problems = FileTable::from_json(&Value::Null, &json!({"http": null})).unwrap_err();
    assert_eq!(problems[0].path, "path");
}

#[test]
fn a_connection_string_is_broker_login_and_topic() {
    let text = "Endpoint=sb://ns.servicebus.windows.net/;SharedAccessKeyName=read;SharedAccessKey=c2VjcmV0a2V5=;EntityPath=adt";
    let read = settings(json!({ "event_hubs": text })).unwrap();
    assert_eq!(
        (read.brokers, read.topics),
        (vec!["ns.servicebus.windows.net:9093".to_owned()], vec!["adt".to_owned()])
    );
    assert_eq!(read.security, Security::SaslSsl);
    let sasl = read.sasl.unwrap();
    assert_eq!((sasl.mechanism, sasl.username.as_str()), (SaslMechanism::Plain, "$ConnectionString"));
    assert!(!format!("{sasl:?}").contains("c2VjcmV0"), "{sasl:?}");

    let read = settings(json!({ "event_hubs": text, "topics": ["other"] })).unwrap();
    assert_eq!(read.topics, ["other"]);
    for broken in ["", "Endpoint=https://ns/;SharedAccessKey=c2VjcmV0", "Endpoint=sb://ns/;SharedAccessKey="] {
        let found = problems(json!({ "event_hubs": broken, "topics": "adt" }));
        assert_eq!(found, ["kafka.event_hubs is not a connection string"], "{broken}");
    }
    let found = problems(json!({ "event_hubs": text, "brokers": "a:1", "sasl": {"username": "u", "password": "p"} }));
    assert_eq!(found, ["kafka.brokers is already said by `event_hubs`", "kafka.sasl is already said by `event_hubs`"]);
}

#[test]
fn every_problem_is_named_at_once_and_no_secret() {
    let found = problems(json!({
        "brokers": ["localhost", ":1"], "security": "ssl", "start": "yesterday", "toppics": "adt",
        "sasl": {"mechanism": "GSSAPI", "username": "", "password": "hunter2", "user": "x"},
        "tls": {"ca": "x"}, "max_batch_records": 0, "max_wait_ms": "soon", "session_timeout_ms": 10,
    }));
    let paths: Vec<&str> = found.iter().map(|problem| problem.split(' ').next().unwrap()).collect();
    assert_eq!(
        paths,
        [
            "kafka.start",
            "kafka.max_wait_ms",
            "kafka.brokers",
            "kafka.brokers",
            "kafka.topics",
            "kafka.sasl",
            "kafka.max_batch_records",
            "kafka.session_timeout_ms",
            "kafka.toppics",
            "kafka.sasl.mechanism",
            "kafka.sasl.username",
            "kafka.sasl.user",
            "kafka.tls.ca",
        ]
    );
    assert!(found.iter().all(|problem| !problem.contains("hunter2")), "{found:?}");
    assert_eq!(
        problems(json!({"brokers": "a:1", "topics": "t", "security": "sasl_ssl"})),
        ["kafka.sasl is needed by this kind of `security`"]
    );
    assert_eq!(
        problems(json!({"brokers": "a:1", "topics": "t", "tls": {"ca_file": "x"}})),
        ["kafka.tls is not used by this kind of `security`"]
    );
    let whole = FileTable::from_json(&Value::Null, &json!({"kafka": [[]], "http": 1})).unwrap_err();
    assert_eq!(whole.iter().map(|problem| problem.path.as_str()).collect::<Vec<_>>(), ["kafka", "http"]);
}
