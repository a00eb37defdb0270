use serde_json::{Value, json};
use wardlake_testkit::kafka::KafkaBroker;

use super::{Ledger, World, numbers, until};

fn sasl(mechanism: &str, password: &str) -> Value {
    json!({"mechanism": mechanism, "username": KafkaBroker::USER, "password": password})
}

pub(super) async fn every_mechanism_logs_in(world: &World) {
    let topic = "secured";
    world.client.create_topic(topic, 1).await.unwrap();
    world.client.produce(topic, 0, numbers(0..3)).await.unwrap();
    let tls = json!({"ca_file": world.broker.ca_file()});
    for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] {
        let login = sasl(mechanism, KafkaBroker::PASSWORD);
        let kinds = [
            json!({"brokers": world.broker.sasl_plaintext(), "security": "sasl_plaintext", "sasl": login}),
            json!({"brokers": world.broker.sasl_ssl(), "security": "sasl_ssl", "sasl": login, "tls": tls}),
        ];
        for kind in kinds {
            let ledger = Ledger::default();
            let mut feed = world.feed(topic, &ledger, kind);
            ledger.fill(&mut feed, 3).await;
            feed.close().await.unwrap();
        }
    }
}

pub(super) async fn a_wrong_password_is_told_and_tried_again(world: &World) {
    let login = sasl("PLAIN", "hunter2");
    let block = json!({"brokers": world.broker.sasl_plaintext(), "security": "sasl_plaintext", "sasl": login});
    let mut feed = world.feed("nothing", &Ledger::default(), block);
    let monitor = feed.monitor();
    let first = tokio::select! {
        batch = feed.next() => panic!("read without a login: {batch:?}"),
        () = until("the refusal is told", &monitor, |status| status.last_error.is_some()) => monitor.status(),
    };
    let error = first.last_error.unwrap();
    assert!(!first.connected && error.message.contains("uthentication"), "{error:?}");
    assert!(!error.message.contains("hunter2"), "{error:?}");
    tokio::select! {
        batch = feed.next() => panic!("read without a login: {batch:?}"),
        () = until("it is tried again", &monitor, |status| status.last_error.as_ref().unwrap().at > error.at) => {}
    }
}

/// Without `ca_file` the machine's own authorities decide, and they do not know the test's.
pub(super) async fn an_unknown_authority_is_told(world: &World) {
    let login = sasl("PLAIN", KafkaBroker::PASSWORD);
    let block = json!({"brokers": world.broker.sasl_ssl(), "security": "sasl_ssl", "sasl": login});
    let mut feed = world.feed("nothing", &Ledger::default(), block);
    let monitor = feed.monitor();
    tokio::select! {
        batch = feed.next() => panic!("an unknown broker was trusted: {batch:?}"),
        () = until("the refusal is told", &monitor, |status| status.last_error.is_some()) => {}
    }
    let error = monitor.status().last_error.unwrap().message;
    assert!(error.to_lowercase().contains("certificate"), "{error}");

    let block = json!({"brokers": "127.0.0.1:1", "security": "ssl", "tls": {"ca_file": "no/such/file.pem"}});
    let refused = world.feed("nothing", &Ledger::default(), block).next().await.unwrap_err().to_string();
    assert!(refused.contains("kafka source test.nothing") && refused.contains("no/such/file.pem"), "{refused}");
}
