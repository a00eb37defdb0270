//! Deliveries that were set aside: they are seen, and go through once when their cause is mended.

use serde_json::{Value, json};

use crate::{
    mllp::{Sender, admission, clinic, verdict},
    serve::ward,
    served::Served,
    world::World,
};

/// A clinic whose messages have to say where a patient goes, or do not have to.
fn source(is_required: bool) -> String {
    format!(
        "version: 2\nsources:\n  - name: hl7\n    schema: bronze\n    tables:\n      - name: messages\n        config:\n          \
         meta:\n            wardlake:\n              mllp: true\n              format: {{type: hl7, mapping: {{columns: {{movement: \
         {{from: ZBE-1, required: {is_required}}}}}}}}}\n        \
         columns: [{{name: message}}, {{name: message_control_id}}, {{name: trigger_event}}, {{name: patient_id}}]\n"
    )
}

/// Messages without and with what is asked for. The first is set aside.
fn delivered() -> (World, Served) {
    let world = clinic("true");
    world.write("sources/hl7.yml", source(true));
    let served = Served::start(&world, &["--mllp", "127.0.0.1:0"], &["http", "mllp"]);
    let mut sender = Sender::connect(served.mllp.unwrap()).unwrap();
    assert_eq!(verdict(&sender.send(&admission(1)).unwrap()), ("AE".to_owned(), "M1".to_owned()));
    let whole = [&admission(2)[..], b"ZBE|7\r"].concat();
    assert_eq!(verdict(&sender.send(&whole).unwrap()), ("AA".to_owned(), "M2".to_owned()));
    served.wait_until_shown("hl7.messages", 2);
    (world, served)
}

fn listed(world: &World) -> Vec<Value> {
    let text = world.ok(&["feed", "list", "--output", "json"]);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn numbers(world: &World) -> Vec<String> {
    world.sql("select _position as n from bronze.messages order by 1").into_iter().map(|row| row["n"].clone()).collect()
}

#[test]
fn a02_a_delivery_that_is_set_aside_is_seen_and_goes_through_once_beside_a_server() {
    let (world, served) = delivered();
    let aside = listed(&world);
    let wanted = json!([{"feed": "hl7.messages", "number": "1", "reason": "hl7_required_field", "bytes": admission(1).trim_ascii_end().len()}]);
    let facts = ["feed", "number", "reason", "bytes"].map(|name| (&aside[0][name], &wanted[0][name]));
    assert!(aside.len() == 1 && facts.iter().all(|(is, wanted)| is == wanted), "{aside:?} {wanted:?}");
    assert_eq!(world.run(&["feed", "show", "1", "--raw"]).stdout, admission(1).trim_ascii_end());
    let shown = world.ok(&["feed", "show", "1", "--feed", "hl7.messages"]);
    assert!(shown.contains("hl7_required_field") && shown.contains("PID|1"), "{shown}");
    // Nothing is mended: it is set aside again, and bronze has nothing more.
    let again = world.fails(1, &["feed", "replay", "1"]);
    assert!(again.contains("set aside again (hl7_required_field)"), "{again}");
    let aside = listed(&world);
    assert!(aside.len() == 1 && aside[0]["tried_at"].is_string(), "{aside:?}");
    assert_eq!(numbers(&world), ["2"]);
    served.stop();
    world.write("sources/hl7.yml", source(false));
    let served = Served::start(&world, &[], &["http"]);
    let told = world.ok(&["feed", "replay", "--all"]);
    assert!(told.contains("1 of 1 went through"), "{told}");
    served.wait_for("a wave to take it on", |_| world.count("main.events") == 2);
    assert_eq!(numbers(&world), ["1", "2"], "it stands where it would have stood");
    assert_eq!(listed(&world), Vec::<Value>::new());
    let told = world.ok(&["feed", "replay", "--all"]);
    assert!(told.contains("nothing is set aside"), "{told}");
    let refused = world.fails(2, &["feed", "replay", "1"]);
    assert!(refused.contains("no delivery 1 is set aside"), "{refused}");
    served.stop();
    assert_eq!((world.count("bronze.messages"), world.count("main.events")), (2, 2));
}

#[test]
fn a02_a_delivery_that_is_set_aside_goes_through_without_a_server_and_with_the_next_build() {
    let (world, served) = delivered();
    served.stop();
    world.fails(1, &["feed", "replay", "--all", "--feed", "hl7.messages"]);
    world.write("sources/hl7.yml", source(false));
    let refused = world.fails(2, &["feed", "replay", "--all", "--feed", "hl7.others"]);
    assert!(refused.contains("there is no feed `hl7.others`"), "{refused}");
    world.ok(&["feed", "replay", "1"]);
    world.ok(&["build"]);
    assert_eq!((numbers(&world), world.count("main.events")), (vec!["1".to_owned(), "2".to_owned()], 2));
    // A server that starts now finds nothing to load.
    let served = Served::start(&world, &[], &["http"]);
    served.wait_until_shown("hl7.messages", 2);
    served.stop();
    assert_eq!((world.count("bronze.messages"), world.count("main.events")), (2, 2));
}

#[test]
fn a02_of_a_lake_to_which_nothing_was_delivered_nothing_is_set_aside() {
    let world = ward();
    assert_eq!(listed(&world), Vec::<Value>::new());
    assert!(world.ok(&["feed", "replay", "--all"]).contains("nothing is set aside"));
}
