//! Builds beside a server: one meaning in both, no row twice, none lost.

use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use serde_json::json;

use crate::{
    serve::ward,
    served::{POLL, Served, request},
    world::{Row, World},
};

const TOKEN: (&str, &str) = ("Authorization", "Bearer secret");
/// Without a key: a row that is taken twice is there twice.
const DELIVERED: &str = "{{ config(materialized='incremental') }}
select id, ward, _position as position from {{ changes(source('feed', 'events')) }}";
const COUNTED: &str = "{{ config(materialized='incremental') }}
select id, ward from {{ changes(ref('delivered')) }}";
/// Reads two tables that move.
const BOTH: &str = "{{ config(materialized='incremental') }}
select 'delivered' as way, id from {{ changes(ref('delivered')) }}
union all
select 'received' as way, id from {{ changes(source('feed', 'events')) }}";
const MODELS: [(&str, &str); 3] = [("delivered", DELIVERED), ("counted", COUNTED), ("both", BOTH)];

/// A ward all of whose models can be built: nobody delivers its lists.
pub(crate) fn ward_of_events() -> World {
    let world = ward();
    fs::remove_file(world.path().join("models/names.sql")).unwrap();
    world
}

fn busy_ward() -> World {
    let world = ward_of_events();
    for (name, sql) in MODELS {
        world.write(&format!("models/{name}.sql"), sql);
    }
    world
}

fn post(to: SocketAddr, id: u64, ward: &str) {
    let event = json!({"id": id.to_string(), "ward": ward, "beds": "1"});
    let answer = request(to, "POST", "/ingest/feed/events", &[TOKEN], format!("{event}\n").as_bytes()).unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
}

/// The rows of every model that lives with the waves.
fn models(world: &World) -> BTreeMap<&'static str, Vec<Row>> {
    let rows =
        |name: &'static str, order: &str| (name, world.sql(&format!("select * from main.{name} order by {order}")));
    let ordered = [("events", "id"), ("delivered", "id, position"), ("counted", "id"), ("both", "way, id")];
    ordered.into_iter().map(|(name, order)| rows(name, order)).collect()
}

/// Runs `builds` while deliveries come many times a second; how many came.
fn beside_deliveries(world: &World, to: SocketAddr, builds: &[&[&str]]) -> u64 {
    let is_done = AtomicBool::new(false);
    // A build that fails ends the deliveries as well.
    struct Ends<'a>(&'a AtomicBool);
    impl Drop for Ends<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    thread::scope(|scope| {
        let deliveries = scope.spawn(|| {
            let mut last = 1;
            while !is_done.load(Ordering::Relaxed) {
                last += 1;
                post(to, last, "a");
                thread::sleep(POLL);
            }
            last
        });
        let ends = Ends(&is_done);
        for build in builds {
            world.ok(build);
        }
        drop(ends);
        deliveries.join().unwrap()
    })
}

#[test]
fn a17_builds_beside_a_busy_server_go_through_and_end_with_the_same_rows() {
    let world = busy_ward();
    let served = Served::start(&world, &[], &["http"]);
    post(served.http, 1, "a");
    served.wait_until_shown("feed.events", 1);
    let delivered = beside_deliveries(&world, served.http, &[&["build"][..]; 6]);
    served.wait_until_shown("feed.events", delivered);
    served.stop();
    world.ok(&["build"]);
    let rows = models(&world);
    for (name, times) in [("events", 1), ("delivered", 1), ("counted", 1), ("both", 2)] {
        assert_eq!(rows[name].len() as u64, delivered * times, "{name}: rows were lost or taken twice");
    }
    world.ok(&["build", "--full-refresh"]);
    assert_eq!(models(&world), rows);
}

#[test]
fn a17_a_full_refresh_beside_a_busy_server_goes_through() {
    let world = busy_ward();
    let served = Served::start(&world, &[], &["http"]);
    post(served.http, 1, "a");
    served.wait_until_shown("feed.events", 1);
    let builds = [&["build"][..], &["build", "--full-refresh"][..], &["build"][..]];
    let delivered = beside_deliveries(&world, served.http, &builds) + 1;
    post(served.http, delivered, "a");
    served.wait_until_shown("feed.events", delivered);
    served.stop();
    world.ok(&["build"]);
    assert_eq!(world.count("main.events"), delivered);
    assert_eq!(world.count("main.delivered"), delivered);
}

/// All that came in the wards of what is new, however the keys are written.
const FOUND: &str = "{{ config(materialized='incremental') }}
{%- set keys %}select ward, beds from {{ changes(source('feed', 'events')) }} union all select null, null{%- endset %}
select id from {{ matching(ref('events'), ['ward', 'beds'], keys) }}";

#[test]
fn b07_rows_are_looked_up_alike_in_a_wave_and_in_a_build() {
    let deliveries = [(1, "a", &["1"][..]), (2, "a", &["1", "1", "2"][..]), (3, "b", &["1", "1", "2", "3"][..])];
    let check = |world: &World, expected: &[&str]| {
        let found = world.sql("select id from main.found order by id");
        assert_eq!(found.iter().map(|row| row["id"].as_str()).collect::<Vec<_>>(), expected);
    };
    let live = ward_of_events();
    live.write("models/found.sql", FOUND);
    let served = Served::start(&live, &[], &["http"]);
    for (id, ward, expected) in deliveries {
        post(served.http, id, ward);
        served.wait_until_shown("feed.events", id);
        check(&live, expected);
    }
    served.stop();
    // The same deliveries, and the model is only there when the server is not.
    let nightly = ward_of_events();
    for (id, ward, expected) in deliveries {
        let served = Served::start(&nightly, &[], &["http"]);
        post(served.http, id, ward);
        served.wait_until_shown("feed.events", id);
        served.stop();
        nightly.write("models/found.sql", FOUND);
        nightly.ok(&["build"]);
        check(&nightly, expected);
        fs::remove_file(nightly.path().join("models/found.sql")).unwrap();
    }
}
