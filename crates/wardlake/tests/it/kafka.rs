//! Records of a real Apache Kafka broker through `wardlake serve`, while the server is killed five times and the broker is stopped
//! once and killed once: each is a row of bronze and of the models exactly once, or rejected exactly once.
//!
//! `WARDLAKE_KAFKA_RECORDS=1000000` makes it the long recipe.

use serde_json::{Value, json};
use wardlake_testkit::{kafka::KafkaBroker, skip::skipped};

use crate::{
    crash::setting,
    served::{Served, Stream},
    world::World,
};

const TOPIC: &str = "beds";
const PARTITIONS: u64 = 4;
/// Every so many records one is none.
const POISON_EVERY: u64 = 500;

/// What dies in the middle of reading.
#[derive(Clone, Copy, PartialEq)]
enum Fault {
    ServerKilled,
    BrokerStopped,
    BrokerKilled,
}

use Fault::{BrokerKilled, BrokerStopped, ServerKilled};

const FAULTS: [Fault; 7] =
    [ServerKilled, BrokerStopped, ServerKilled, ServerKilled, BrokerKilled, ServerKilled, ServerKilled];

fn value(number: u64) -> String {
    match number % POISON_EVERY {
        0 => format!("poison {number}"),
        _ => json!({"id": number.to_string(), "ward": format!("w{}", number % 7), "beds": "1"}).to_string(),
    }
}

fn ward(broker: &str) -> World {
    let world = World::empty().env("BROKER", broker);
    world.write("dbt_project.yml", "name: ward\nversion: '1.0'\nmodel-paths: [models, sources]\n");
    world.write(
        "sources/feed.yml",
        r#"
version: 2
sources:
  - name: feed
    schema: bronze
    tables:
      - name: records
        config:
          meta:
            wardlake:
              kafka: {brokers: "{{ env_var('BROKER') }}", topics: beds, session_timeout_ms: 6000}
              format: {type: ndjson}
        columns: [{name: id}, {name: ward}, {name: beds}]
"#,
    );
    world.write("macros/changes.sql", "{% macro changes(relation) %}{{ relation }}{% endmacro %}");
    // Nothing in it would hide a row that comes twice.
    world.write(
        "models/rows.sql",
        "{{ config(materialized='incremental') }}\nselect id, ward, cast(beds as bigint) as beds, _file, _position\n\
         from {{ changes(source('feed', 'records')) }}",
    );
    world.write(
        "models/totals.sql",
        "{{ config(materialized='view') }}\nselect count(*) as records, sum(beds) as beds from {{ ref('rows') }}",
    );
    world
}

/// How many records the server has not read yet; none while it does not know.
fn lag(status: &Value) -> Option<u64> {
    status["topics"]["feed.records"]["lag"].as_u64()
}

#[test]
fn each_record_is_loaded_once_whatever_dies() {
    let jars = match KafkaBroker::jars() {
        Ok(jars) => jars,
        Err(reason) => return skipped(reason),
    };
    let total = setting("WARDLAKE_KAFKA_RECORDS", 16_000);
    let poison = total.div_ceil(POISON_EVERY);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut broker = runtime.block_on(KafkaBroker::start(&jars)).unwrap();
    let client = runtime.block_on(broker.client()).unwrap();
    runtime.block_on(client.create_topic(TOPIC, PARTITIONS as i32)).unwrap();
    let produce = |numbers: std::ops::Range<u64>| {
        for from in numbers.clone().step_by(10_000) {
            let part = from..numbers.end.min(from + 10_000);
            for partition in 0..PARTITIONS {
                let values = part.clone().filter(|number| number % PARTITIONS == partition).map(value);
                runtime.block_on(client.produce(TOPIC, partition as i32, values)).unwrap();
            }
        }
    };

    let world = ward(&broker.plaintext());
    let start = || Served::start(&world, &[], &["http"]);
    let parts = FAULTS.len() as u64 + 1;
    let mut served = start();
    for (part, fault) in (0u64..).zip(FAULTS) {
        let numbers = total * part / parts..total * (part + 1) / parts;
        let half = (numbers.end - numbers.start) / 2;
        produce(numbers);
        served.wait_for("half of what was sent is read", |status| lag(status).is_some_and(|lag| lag <= half));
        match fault {
            ServerKilled => {
                served.kill();
                served = start();
                continue;
            }
            BrokerStopped => runtime.block_on(broker.stop()).unwrap(),
            BrokerKilled => runtime.block_on(broker.kill()).unwrap(),
        }
        let topic = |status: &Value| status["topics"]["feed.records"].clone();
        served.wait_for("the outage is told", |status| topic(status)["connected"] == false);
        runtime.block_on(broker.restart()).unwrap();
    }
    produce(total * (parts - 1) / parts..total);

    let mut totals = Stream::open(served.http, "totals", None);
    while totals.next().rows[0]["records"].as_u64() < Some(total - poison) {}
    served.stop();
    for table in ["bronze.records", "main.rows"] {
        let found = world.sql(&format!(
            "select count(*) as n, count(distinct id) as ids, count(distinct _file || ':' || _position) as places from {table}"
        ));
        let wanted = (total - poison).to_string();
        assert!(found[0].values().all(|value| *value == wanted), "{table}: {found:?} instead of {wanted}");
    }
    let rejected = world
        .sql("select count(*) as n, count(distinct _file || ':' || _position) as places from system.rejected_rows");
    assert!(rejected[0].values().all(|value| *value == poison.to_string()), "{rejected:?} instead of {poison}");
}
