//! Files that are no table, or are read in the wrong way: what is told of them, and what is kept.

use wardlake_testkit::damage::without_checksum;

use crate::world::World;

const PROJECT: &str = "name: arrivals\nversion: '1.0'\nmodel-paths: [models, sources]\n";

/// A project with one table of all files in `landing`.
fn world(format: &str) -> World {
    let world = World::empty();
    world.write("dbt_project.yml", PROJECT);
    world.write(
        "sources/feed.yml",
        format!(
            "version: 2\nsources:\n  - name: feed\n    schema: bronze\n    tables:\n      - name: beds\n        config:\n          \
             meta:\n            wardlake:\n              path: 'landing/*'\n              format: {{{format}}}\n"
        ),
    );
    world
}

#[test]
fn b09_a_file_that_is_no_table_stops_alone_and_says_what_to_do() {
    let world = world("");
    let foreign: [(&str, &[u8], &str); 5] = [
        ("a.csv", b"PK\x03\x04\x14\0\0\0\x08\0\0\0\0\0beds.csvid,ward\n1,A\n", "a zip archive; unpack it"),
        ("b.xlsx", b"PK\x03\x04\x14\0\x06\0\0\0[Content_Types].xml", "(xlsx); save each of its sheets as CSV"),
        ("c.pdf", b"%PDF-1.7\n1 0 obj\n", "a PDF document; take the data"),
        ("d.xml", b"<?xml version=\"1.0\"?>\n<ClinicalDocument>\n</ClinicalDocument>\n", "(CDA); XML is not read"),
        ("e.csv", b"<!DOCTYPE html>\n<html><body>Log in, please</body></html>\n", "an HTML page; it may be the error"),
    ];
    for (name, bytes, _) in foreign {
        world.write(&format!("landing/{name}"), bytes);
    }
    world.write("landing/z.csv", "id,ward\n1,A\n2,B\n");
    let printed = world.fails(1, &["ingest"]);
    let printed: String = printed.split_whitespace().collect::<Vec<_>>().join(" ");
    for (name, _, part) in foreign {
        assert!(printed.contains(name) && printed.contains(part), "{name}: `{part}` is missing in:\n{printed}");
    }
    assert!(!printed.contains("please"), "{printed}");
    assert_eq!(world.value("select count(*) as n from bronze.beds where ward in ('A', 'B')"), "2");
    assert_eq!(world.count("bronze.beds"), 2, "and nothing of the others");
    for (name, ..) in foreign {
        std::fs::remove_file(world.path().join("landing").join(name)).unwrap();
    }
    world.write("landing/a.csv", "id,ward\n3,C\n");
    world.ok(&["ingest"]);
    assert_eq!(world.count("bronze.beds"), 3);
}

#[test]
fn b10_a_load_without_a_readable_record_is_a_warning_with_its_likely_reason() {
    let world = world("type: csv, delimiter: ','");
    world.write("landing/a.csv", "Beds of today\nid,ward\n1,A\n2,B\n");
    world.write("landing/b.csv", "id,ward\n3,C\n");
    let printed = world.ok(&["ingest"]);
    let told: String = printed.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in ["WARN=1", "a.csv: none of its records could be read", "`skip_rows`", "system.rejected_rows"] {
        assert!(told.contains(part), "`{part}` is missing in:\n{printed}");
    }
    assert_eq!((world.count("system.rejected_rows"), world.count("bronze.beds")), (3, 1));
}

#[test]
fn b10_an_export_that_names_its_delimiter_is_read_by_it() {
    let world = world("type: csv");
    world.write("landing/a.csv", "sep=;\r\nid;ward\r\n1;A, left\r\n2;B\r\n");
    assert!(world.ok(&["ingest"]).contains("WARN=0"));
    let wards = world.sql("select ward, _position as p from bronze.beds order by id");
    let wards: Vec<(&str, &str)> = wards.iter().map(|row| (row["ward"].as_str(), row["p"].as_str())).collect();
    assert_eq!(wards, [("A, left", "3"), ("B", "4")]);
}

#[test]
fn b17_a_last_line_that_was_cut_short_is_told() {
    let text = "id,ward,floor\n1,A,1\n2,B,2\n3,C";
    let padding = world("type: csv");
    padding.write("landing/a.csv", text);
    let printed = padding.ok(&["ingest"]);
    let told: String = printed.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(told.contains("a.csv: its last line (line 4)") && told.contains("cut short"), "{printed}");
    assert_eq!(padding.count("bronze.beds"), 3);
    let rejecting = world("type: csv, ragged: reject");
    rejecting.write("landing/a.csv", text);
    rejecting.ok(&["ingest"]);
    assert_eq!((rejecting.count("bronze.beds"), rejecting.count("system.rejected_rows")), (2, 1));
}

/// More rejected records than are held at once are read a second time, and kept all the same: each once, with its place, its bytes and
/// the hash of its file.
#[test]
fn c03_every_one_of_many_rejected_records_is_kept_once() {
    const BAD: usize = 60_000;
    for name in ["a.ndjson", "b.csv"] {
        let is_json = name.ends_with("json");
        let world = world("");
        let mut text = if is_json { String::new() } else { "id\n".to_owned() };
        let good = |i: usize| if is_json { format!("{{\"id\":{i}}}\n") } else { format!("{i}\n") };
        for i in 0..BAD {
            if i % 20_000 == 0 {
                text.push_str(&good(i));
            }
            text.push_str(&format!("{i},{}\n", "bad".repeat(12)));
        }
        world.write(&format!("landing/{name}"), &text);
        let printed = world.ok(&["ingest"]);
        assert!(printed.contains("60,000 rejected"), "{printed}");
        let kept = world.sql(
            "select count(*) as n, count(distinct r._position) as places, count(distinct cast(r.bytes as varchar)) as texts, \
             sum(r.length) as total, count(distinct r.sha256) as files, max(r.sha256) = max(l.sha256) as is_its \
             from system.rejected_rows r cross join system.load_log l",
        );
        let length: usize = (0..BAD).map(|i| i.to_string().len() + 37).sum();
        let bad = BAD.to_string();
        assert_eq!((&kept[0]["n"], &kept[0]["places"], &kept[0]["texts"]), (&bad, &bad, &bad), "{name}");
        assert_eq!((kept[0]["total"].as_str(), kept[0]["files"].as_str()), (length.to_string().as_str(), "1"));
        assert_eq!(kept[0]["is_its"], "true", "{name}");
        assert_eq!(world.count("bronze.beds"), 3, "{name}");
        world.ok(&["ingest"]);
        assert_eq!(world.count("system.rejected_rows"), BAD as u64, "{name}");
    }
}

/// What a crash kept out of the load log stands in the table's own commits. Where it cannot be read there, nobody knows what was loaded: that
/// is an error, and not the same as that nothing was.
#[test]
fn what_was_loaded_is_not_forgotten_where_it_cannot_be_read() {
    let world = world("");
    world.write("landing/a.csv", "id,ward\n1,A\n2,B\n");
    world.ok(&["ingest"]);
    std::fs::remove_dir_all(world.path().join("lake/system/load_log")).unwrap();
    let mut damaged = 0;
    for entry in std::fs::read_dir(world.path().join("lake/bronze/beds/_delta_log")).unwrap() {
        let path = entry.unwrap().path();
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        if text.contains("order_key") {
            std::fs::write(&path, without_checksum(&text).replace("order_key", "order_lock")).unwrap();
            damaged += 1;
        }
    }
    assert_eq!(damaged, 1, "the commit says which files it loaded");
    let printed = world.fails(1, &["ingest"]);
    assert!(printed.contains("loaded cannot be read") && printed.contains("Nothing was loaded"), "{printed}");
    assert_eq!(world.count("bronze.beds"), 2);
}
