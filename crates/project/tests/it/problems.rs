use crate::support::Folder;

/// Loads and returns `code file:line:column` of every problem.
fn problems(files: &[(&str, &str)]) -> Vec<String> {
    let found = match Folder::new(files).try_load() {
        Ok(project) => project.warnings().to_vec(),
        Err(problems) => problems.0,
    };
    found
        .iter()
        .map(|p| match &p.location {
            Some(place) => format!("{} {place}", p.code),
            None => p.code.clone(),
        })
        .collect()
}

#[test]
fn every_problem_at_once_each_with_its_place() {
    let files = [
        ("models/orders.sql", "select *\nfrom {{ ref('cutomers') }}\njoin {{ source('crm', 'order') }} using (id)"),
        ("models/customers.sql", "{{ config(on_schema_change='fial') }}\nselect 1"),
        ("sources/crm.yml", "sources:\n  - name: crm\n    tables: [{name: orders}]\n"),
        (
            "models/p.yml",
            "models:\n  - name: order\n    description: x\n  - name: customers\n    columns:\n      - name: id\n        tests: [uniqe]\n",
        ),
    ];
    let found = problems(&files);
    for expected in [
        "WL-P014 models/orders.sql:2:14",
        "WL-P016 models/orders.sql:3:24",
        "WL-P018 models/customers.sql:1:11",
        "WL-P013 models/p.yml:2:11",
        "WL-P021 models/p.yml:7:17",
    ] {
        assert!(found.iter().any(|f| f == expected), "{expected} not in {found:#?}");
    }
    let text = Folder::new(&files).try_load().map(|_| ()).unwrap_err().to_string();
    assert!(text.contains("did you mean `customers`?") && text.contains("did you mean `unique`?"), "{text}");
    assert!(text.contains("did you mean `source('crm', 'orders')`?"), "{text}");
}

#[test]
fn every_problem_of_the_alerts_at_once_each_with_its_place() {
    let alerts = "version: 2
clock: {model: clok, column: at}
webhooks: https://example.org
alerts:
  - {name: full, model: beds, key: [ward], when: rate > 1, message: full, for: 15 minutes}
  - {name: full, model: beds, sql: select 1, key: [], when: rate > 1, severity: loud}
  - {name: long, modell: beds, key: ward, when: true, message: long}
";
    let found = problems(&[("models/beds.sql", "select 1 as ward"), ("alerts.yml", alerts)]);
    let expected = [
        "WL-P005 alerts.yml:1:10", // version
        "WL-P014 alerts.yml:2:16", // the clock's model
        "WL-P005 alerts.yml:3:11", // webhooks: no list
        "WL-P005 alerts.yml:5:80", // for
        "WL-P005 alerts.yml:6:5",  // key, message, model and sql
        "WL-P005 alerts.yml:6:81", // severity
        "WL-P003 alerts.yml:7:18", // modell
        "WL-P005 alerts.yml:7:5",  // model
        "WL-P005 alerts.yml:7:37", // key: no list
        "WL-P005 alerts.yml:7:49", // when: no text
    ];
    for place in expected {
        assert!(found.iter().any(|f| f == place), "{place} not in {found:#?}");
    }
    assert_eq!(found.len(), expected.len() + 2, "{found:#?}");

    let alert = "  - {name: full, model: beds, key: [ward], when: rate > 1, message: full, for: 15m}\n";
    let twice = format!("alerts:\n{alert}{alert}");
    assert_eq!(problems(&[("models/beds.sql", "select 1"), ("alerts.yml", &twice)]), ["WL-P010 alerts.yml:3:5"]);
    let once = format!("clock: {{model: beds, column: at}}\nalerts:\n{alert}");
    let project = Folder::new(&[("models/beds.sql", "select 1"), ("alerts.yml", &once)]).try_load().unwrap();
    let rules = project.alerts();
    assert_eq!(rules.clock.as_ref().unwrap().model, "model.shop.beds");
    assert_eq!(rules.alerts[0].lasting, std::time::Duration::from_secs(900));
}

#[test]
fn a_table_is_trimmed_to_a_view_that_is_there() {
    let with = |name: &str| {
        let config = format!(
            "{{{{ config(materialized='incremental', meta={{'wardlake': {{'trimmed_to': {name}}}}}) }}}}\nselect 1 as x"
        );
        [
            ("models/recent.sql", config),
            ("models/current.sql", "{{ config(materialized='view') }} select * from {{ ref('recent') }}".to_owned()),
            ("models/kept.sql", "{{ config(materialized='table') }} select * from {{ ref('recent') }}".to_owned()),
        ]
    };
    let load = |name: &str| {
        let files = with(name);
        Folder::new(&files.each_ref().map(|(path, text)| (*path, text.as_str()))).try_load()
    };
    let project = load("'current'").unwrap();
    assert_eq!(project.nodes()["model.shop.recent"].trimmed_to.as_deref(), Some("model.shop.current"));
    for (name, says) in
        [("'curent'", "did you mean `current`?"), ("'kept'", "`kept` is not a view"), ("3", "there is no model")]
    {
        let problems = load(name).map(|_| ()).unwrap_err();
        let problem = &problems.0[0];
        assert_eq!(problem.code, "WL-P026");
        assert_eq!(problem.location.as_ref().unwrap().line, 1, "{name}");
        assert!(problems.to_string().contains(says), "{problems}");
    }
}

#[test]
fn malformed_yaml_and_missing_project() {
    let found = problems(&[("models/p.yml", "models:\n  - name: [a\n")]);
    assert!(found[0].starts_with("WL-P001 models/p.yml:"), "{found:?}");
    let folder = Folder::new(&[]);
    std::fs::remove_file(folder.path().join("dbt_project.yml")).unwrap();
    let problem = folder.try_load().map(|_| ()).unwrap_err();
    assert!(problem.to_string().contains("there is no dbt_project.yml"), "{problem}");
}

#[test]
fn names_relations_and_circles() {
    assert_eq!(
        problems(&[("models/a.sql", "select 1"), ("models/x/a.sql", "select 2")]),
        ["WL-P010 models/x/a.sql:1:1"]
    );
    assert_eq!(
        problems(&[("models/a.sql", "select 1"), ("models/b.sql", "{{ config(alias='A') }} select 2")]),
        ["WL-P011 models/b.sql:1:1"]
    );
    let files = [("models/a.sql", "select * from {{ ref('b') }}"), ("models/b.sql", "select * from {{ ref('a') }}")];
    let text = Folder::new(&files).try_load().map(|_| ()).unwrap_err().to_string();
    assert!(text.contains("WL-P017") && text.contains("a → b → a") || text.contains("b → a → b"), "{text}");
}

#[test]
fn disabled_parents_and_double_descriptions() {
    assert_eq!(
        problems(&[
            ("models/a.sql", "{{ config(enabled=false) }}select 1"),
            ("models/b.sql", "select * from {{ ref('a') }}")
        ]),
        ["WL-P015 models/b.sql:1:23"]
    );
    assert_eq!(
        problems(&[("models/a.sql", "select 1"), ("models/p.yml", "models:\n  - name: a\n  - name: a\n")]),
        ["WL-P012 models/p.yml:3:11"]
    );
}

#[test]
fn broken_jinja_names_its_line() {
    let found = problems(&[("models/a.sql", "select 1\n\nfrom {{ ref('a' }}\n")]);
    assert!(found[0].contains("models/a.sql:3:"), "{found:?}");
}

#[test]
fn snapshots_say_what_they_lack() {
    let found = problems(&[(
        "snapshots/s.sql",
        "{% snapshot s %}\n{{ config(strategy='check') }}\nselect 1\n{% endsnapshot %}",
    )]);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found.iter().all(|f| f.starts_with("WL-P018 snapshots/s.sql")), "{found:?}");
}

/// What is broken is reported where it is broken, not again by everyone who uses it.
#[test]
fn one_broken_file_is_one_problem() {
    let found = problems(&[
        ("models/a.sql", "select {{ 1 + }}"),
        ("models/b.sql", "select * from {{ ref('a') }} join {{ source('crm', 'x') }} using (id)"),
        ("models/p.yml", "sources: [{name: crm, tables: [{name: x}]}\n"),
    ]);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].contains(" models/a.sql:1:") && found[1].starts_with("WL-P001 models/p.yml:"), "{found:?}");
}

const LOADED: (&str, &str) = (
    "sources/his.yml",
    "sources:
  - name: his
    schema: bronze
    tables:
      - name: patients
        config: {meta: {wardlake: {path: '*.csv'}}}
      - name: raw_wards
",
);
/// A custom schema is the schema.
const BARE: (&str, &str) = (
    "macros/schema.sql",
    "{% macro generate_schema_name(custom_schema_name, node) %}{{ custom_schema_name or target.schema }}{% endmacro %}",
);

#[test]
fn a18_nobody_writes_where_a_source_is_loaded_or_wardlake_keeps_its_records() {
    let check = |path: &str, text: &str, expected: &[&str]| {
        assert_eq!(problems(&[LOADED, BARE, (path, text)]), expected, "{text}");
    };
    let model = |config: &str| format!("{{{{ config({config}) }}}}\nselect 1 as id");
    for (config, column) in [
        ("schema='bronze', alias='patients'", 28),
        ("schema='Bronze', alias='PATIENTS'", 28),
        ("alias = 'patients', schema='bronze'", 11),
        ("schema='system', alias='load_log'", 11),
        ("schema='System'", 11),
        ("schema='quarantine'", 11),
        ("schema='AUDIT'", 11),
        ("schema='information_schema'", 11),
        ("schema='pg_catalog'", 11),
        ("materialized='view', schema='audit'", 32),
    ] {
        check("models/m.sql", &model(config), &[&format!("WL-P027 models/m.sql:1:{column}")]);
    }
    let fine = [
        "schema='bronze', alias='raw_wards'",
        "schema='bronze'",
        "schema='systems'",
        "materialized='ephemeral', schema='audit'",
    ];
    for config in fine {
        check("models/m.sql", &model(config), &[]);
    }
    // Whatever leads there: the name of the file, the settings of a folder, a snapshot's own, a test's failures.
    check("models/patients.sql", &model("schema='bronze'"), &["WL-P027 models/patients.sql:1:11"]);
    let folder = "name: shop\nversion: '1.0'\nseeds:\n  +schema: quarantine\n";
    let seeds = [BARE, ("dbt_project.yml", folder), ("seeds/codes.csv", "id\n1\n")];
    assert_eq!(problems(&seeds), ["WL-P027 seeds/codes.csv:1:1"]);
    let snapshot = "{% snapshot patients %}
{{ config(target_schema='bronze', strategy='check', unique_key='id', check_cols='all') }}
select 1 as id
{% endsnapshot %}";
    check("snapshots/s.sql", snapshot, &["WL-P027 snapshots/s.sql:2:11"]);
    check("snapshots/s.sql", &snapshot.replace("bronze", "SYSTEM"), &["WL-P027 snapshots/s.sql:2:11"]);
    check("tests/patients.sql", &model("schema='bronze', store_failures=true"), &["WL-P027 tests/patients.sql:1:11"]);
    check("tests/patients.sql", &model("schema='bronze'"), &[]);
    check("tests/any.sql", &model("schema='audit'"), &["WL-P027 tests/any.sql:1:11"]);
    // Without the macro a custom schema is behind the target's.
    assert_eq!(problems(&[LOADED, ("models/patients.sql", &model("schema='bronze'"))]), [""; 0]);
    let source = LOADED.1.replace("bronze", "System");
    let found = problems(&[("sources/his.yml", &source)]);
    assert!(found.len() == 1 && found[0].starts_with("WL-P027 sources/his.yml:5:"), "{found:?}");
    let text = Folder::new(&[LOADED, BARE, ("models/m.sql", &model("schema='bronze', alias='patients'"))]);
    let text = text.try_load().map(|_| ()).unwrap_err().to_string();
    assert!(text.contains("`his.patients` is loaded into") && text.contains("another `alias`"), "{text}");
}

#[test]
fn a18_two_nodes_have_two_tables() {
    let model = |config: &str| format!("{{{{ config({config}) }}}}\nselect 1 as id");
    let (one, two) = (model("alias='x'"), model("alias='X'"));
    let stored = model("alias='x', store_failures=true");
    let main = ("macros/schema.sql", "{% macro generate_schema_name(custom, node) %}main{% endmacro %}");
    assert_eq!(problems(&[("models/a.sql", &one), ("models/b.sql", &two)]), ["WL-P011 models/b.sql:1:1"]);
    assert_eq!(problems(&[main, ("models/a.sql", &one), ("tests/b.sql", &stored)]), ["WL-P011 tests/b.sql:1:1"]);
    // The rows that models withhold lie under the model's name alone.
    let audited = |schema: &str| {
        model(&format!(
            "schema='{schema}', alias='stays', meta={{'wardlake': {{'expectations': [{{'not_null': 'id', 'name': 'has_id'}}]}}}}"
        ))
    };
    let (silver, gold) = (audited("silver"), audited("gold"));
    let found = problems(&[("models/a.sql", &silver), ("models/b.sql", &gold)]);
    assert!(found.iter().any(|problem| problem == "WL-P011 models/b.sql:1:1"), "{found:?}");
}
