use serde_json::json;
use wardlake_project::{CheckCols, HardDeletes, RelationKind, ResourceType, TestSeverity};

use crate::support::Folder;

#[test]
fn folder_configs_properties_and_config_calls_stand_in_dbts_order() {
    let project = Folder::new(&[
        (
            "dbt_project.yml",
            "name: shop\nmodels:\n  +materialized: view\n  +tags: base\n  +meta: {a: 1, b: 1}\n  shop:\n    staging:\n      +materialized: table\n      +tags: [stg]\n      +schema: silver\n      +pre-hook: one\n",
        ),
        ("models/staging/stg_a.sql", "{{ config(tags='own', meta={'b': 3}, pre_hook='two') }} select 1"),
        ("models/staging/stg_b.sql", "select 2"),
        ("models/schema.yml", "models:\n  - name: stg_a\n    config: {materialized: ephemeral, tags: [props], meta: {b: 2, c: 2}}\n  - name: stg_b\n    config: {alias: bee}\n"),
    ])
    .load();
    let a = project.node("model.shop.stg_a").unwrap();
    assert_eq!(a.config.materialized, "ephemeral");
    assert_eq!(a.tags, ["base", "stg", "props", "own"]);
    assert_eq!(json!(a.meta), json!({"a": 1, "b": 3, "c": 2}));
    assert_eq!(a.config.pre_hooks.iter().map(|h| h.sql.as_str()).collect::<Vec<_>>(), ["one", "two"]);
    assert_eq!((a.relation.identifier.as_str(), a.relation.kind), ("__dbt__cte__stg_a", Some(RelationKind::Cte)));
    let b = project.node("model.shop.stg_b").unwrap();
    assert_eq!((b.relation.schema.as_deref(), b.relation.identifier.as_str()), (Some("main_silver"), "bee"));
    assert_eq!(b.relation.kind, Some(RelationKind::Table));
    assert_eq!(b.fqn, ["shop", "staging", "stg_b"]);
}

#[test]
fn an_overridden_schema_macro_is_called() {
    let project = Folder::new(&[
        (
            "macros/names.sql",
            "{% macro generate_schema_name(custom_schema_name, node) -%}\n{{ custom_schema_name if custom_schema_name else target.schema }}\n{%- endmacro %}",
        ),
        ("models/a.sql", "{{ config(schema='gold') }} select 1"),
        ("models/b.sql", "select 1"),
        ("wardlake.yml", "targets:\n  dev: {lake: lake, schema: silver}\n"),
    ])
    .load();
    let schema = |id: &str| project.node(id).unwrap().relation.schema.clone().unwrap();
    assert_eq!((schema("model.shop.a"), schema("model.shop.b")), ("gold".to_owned(), "silver".to_owned()));
}

#[test]
fn vars_of_project_package_wardlake_and_command_line() {
    let folder = Folder::new(&[
        ("dbt_project.yml", "name: shop\nvars: {x: 1, z: 0, lib: {y: root}}\nmodels:\n  +tags: \"{{ var('z') }}\"\n"),
        ("wardlake.yml", "targets:\n  dev:\n    lake: \"{{ env_var('LAKE', 'lake') }}\"\n    vars: {w: lake}\n"),
        ("models/a.sql", "select {{ var('x') }} as x, '{{ var('w') }}' as w"),
        ("dbt_packages/lib/dbt_project.yml", "name: lib\nvars: {y: lib, only: lib}\n"),
        (
            "dbt_packages/lib/models/b.sql",
            "select '{{ var('y') }}{{ var('only') }}{{ var('x') }}' as y from {{ ref('a') }}",
        ),
    ])
    .var("x", json!(7))
    .env("LAKE", "s3://bucket/lake");
    let project = folder.load();
    assert_eq!(project.lake_url(), "s3://bucket/lake");
    assert_eq!(crate::support::sql(&project, "model.shop.a"), "select 7 as x, 'lake' as w");
    assert_eq!(crate::support::sql(&project, "model.lib.b"), "select 'rootlib7' as y from \"main\".\"a\"");
    assert_eq!(project.node("model.shop.a").unwrap().tags, ["0"]);
}

#[test]
fn seeds_snapshots_tests_sources_exposures_docs() {
    let project = Folder::new(&[
        ("seeds/codes.csv", "code;name\n01;x\n"),
        ("seeds/seeds.yml", "seeds:\n  - name: codes\n    config: {delimiter: ';', column_types: {code: varchar}}\n"),
        (
            "snapshots/s.sql",
            "{% snapshot snap_a %}\n{{ config(strategy='check', unique_key='id', check_cols=['x'], hard_deletes='invalidate', target_schema='snaps') }}\nselect * from {{ source('crm', 'orders') }}\n{% endsnapshot %}\n{% snapshot snap_b %}{{ config(strategy='timestamp', unique_key=['a','b'], updated_at='t') }}select * from {{ ref('codes') }}{% endsnapshot %}",
        ),
        ("snapshots/s.yml", "snapshots:\n  - name: snap_c\n    relation: source('crm', 'orders')\n    config: {strategy: timestamp, unique_key: id, updated_at: t}\n"),
        (
            "sources/crm.yml",
            "sources:\n  - name: crm\n    schema: bronze\n    meta: {wardlake: {format: csv, keys: [id]}}\n    freshness: {warn_after: {count: 12, period: hour}}\n    loaded_at_field: _received_at\n    tables:\n      - name: orders\n        identifier: crm__orders\n        description: \"{{ doc('orders') }}\"\n        config: {meta: {wardlake: {files: 'orders/*.csv'}}}\n        columns:\n          - name: id\n            data_tests: [not_null, {unique: {config: {severity: warn}}}]\n      - name: notes\n        freshness: null\n",
        ),
        ("models/docs.md", "{% docs orders %}\nAll orders.\n{% enddocs %}"),
        ("tests/no_orders.sql", "{{ config(severity='warn') }} select * from {{ ref('snap_a') }}"),
        ("tests/generic/even.sql", "{% test even(model, column_name, than=2) %}select * from {{ model }} where {{ column_name }} % {{ than }} = 1{% endtest %}"),
        ("models/m.sql", "select * from {{ ref('snap_a') }}"),
        (
            "models/m.yml",
            "version: 2\nmodels:\n  - name: m\n    columns:\n      - name: id\n        tags: [key]\n        data_tests:\n          - even: {arguments: {than: 3}, where: 'id > 1'}\n          - relationships: {to: ref('codes'), field: code}\nexposures:\n  - name: board\n    type: dashboard\n    owner: {name: me}\n    depends_on: [ref('m'), \"source('crm', 'notes')\"]\n",
        ),
    ])
    .load();
    let node = |id: &str| project.node(id).unwrap_or_else(|| panic!("no {id} in {:?}", project.nodes().keys()));
    assert_eq!(
        (node("seed.shop.codes").config.seed.delimiter, node("seed.shop.codes").config.seed.column_types.len()),
        (';', 1)
    );
    let snap = node("snapshot.shop.snap_a");
    assert_eq!(snap.relation.schema.as_deref(), Some("snaps"));
    assert_eq!(snap.config.snapshot.check_cols, Some(CheckCols::Columns(vec!["x".to_owned()])));
    assert_eq!(snap.config.snapshot.hard_deletes, HardDeletes::Invalidate);
    assert_eq!(node("snapshot.shop.snap_b").config.unique_key, ["a", "b"]);
    assert_eq!(node("snapshot.shop.snap_b").location.line, 5);
    assert_eq!(node("snapshot.shop.snap_c").depends_on.nodes, ["source.shop.crm.orders"]);
    let orders = project.source("source.shop.crm.orders").unwrap();
    assert_eq!((orders.relation.schema.as_deref(), orders.identifier.as_str()), (Some("bronze"), "crm__orders"));
    assert_eq!(json!(orders.wardlake), json!({"format": "csv", "keys": ["id"], "files": "orders/*.csv"}));
    assert_eq!(orders.description, "All orders.");
    assert_eq!(orders.freshness.as_ref().unwrap().warn_after.as_ref().unwrap().count, 12);
    assert!(project.source("source.shop.crm.notes").unwrap().freshness.is_none());
    assert_eq!(node("test.shop.no_orders").config.test.severity, TestSeverity::Warn);
    let tests: Vec<_> = project.nodes().values().filter(|n| n.test.is_some()).collect();
    assert_eq!(tests.len(), 4);
    let even = tests.iter().find(|n| n.name == "even_m_id__3").unwrap();
    assert_eq!(
        (even.tags.as_slice(), even.config.test.where_sql.as_deref()),
        (["key".to_owned()].as_slice(), Some("id > 1"))
    );
    assert_eq!(even.depends_on.nodes, ["model.shop.m"]);
    assert!(
        tests.iter().any(|n| n.name == "source_unique_crm_orders_id" && n.config.test.severity == TestSeverity::Warn)
    );
    let relationships = tests.iter().find(|n| n.name.starts_with("relationships")).unwrap();
    let mut parents = relationships.depends_on.nodes.clone();
    parents.sort();
    assert_eq!(parents, ["model.shop.m", "seed.shop.codes"]);
    assert_eq!(project.exposures()["exposure.shop.board"].depends_on.nodes, ["model.shop.m", "source.shop.crm.notes"]);
    assert_eq!(project.inventory()["snapshot"], 3);
    assert_eq!(project.resource_type("source.shop.crm.notes"), Some(ResourceType::Source));
}

#[test]
fn disabled_nodes_take_their_tests_along() {
    let project = Folder::new(&[
        ("models/a.sql", "{{ config(enabled=false) }} select 1"),
        ("models/b.sql", "select 1"),
        ("models/p.yml", "models:\n  - name: a\n    columns: [{name: id, tests: [unique]}]\n  - name: b\n    columns: [{name: id, tests: [{relationships: {to: ref('a'), field: id}}]}]\n"),
    ])
    .load();
    assert_eq!(project.nodes().keys().collect::<Vec<_>>(), ["model.shop.b"]);
    assert!(project.disabled().iter().any(|n| n.unique_id == "model.shop.a"));
}

#[test]
fn a_packages_node_obeys_the_root_project_over_its_own_config() {
    let project = Folder::new(&[
        ("dbt_project.yml", "name: shop\nmodels:\n  lib: {+materialized: table}\n"),
        ("models/a.sql", "select * from {{ ref('lib', 'b') }}"),
        ("dbt_packages/lib/dbt_project.yml", "name: lib\nmodels:\n  lib: {+schema: own}\n"),
        ("dbt_packages/lib/models/b.sql", "{{ config(materialized='view') }} select 1"),
        ("dbt_packages/lib/macros/t.sql", "{% macro test_positive(model, column_name) %}select 1{% endmacro %}"),
        ("models/p.yml", "models:\n  - name: a\n    columns: [{name: id, tests: [lib.positive]}]\n"),
    ])
    .load();
    let b = project.node("model.lib.b").unwrap();
    assert_eq!((b.config.materialized.as_str(), b.relation.schema.as_deref()), ("table", Some("main_own")));
    assert!(project.nodes().values().any(|n| n.name == "lib_positive_a_id"));
}

#[test]
fn run_hooks_are_operations() {
    let project = Folder::new(&[
        (
            "dbt_project.yml",
            "name: shop\non-run-start: \"select 1\"\non-run-end:\n  - \"select '{{ target.schema }}'\"\n  - select 3\n",
        ),
        ("models/a.sql", "select 1"),
    ])
    .try_load()
    .unwrap();
    // They are known, and it is told that they are not run.
    assert_eq!(project.warnings().iter().filter(|problem| problem.code == "WL-P028").count(), 3);
    assert_eq!(project.on_run_start().len(), 1);
    let ends: Vec<_> = project.on_run_end().iter().map(|n| n.unique_id.clone()).collect();
    assert_eq!(ends, ["operation.shop.shop-on-run-end-0", "operation.shop.shop-on-run-end-1"]);
    assert_eq!(crate::support::sql(&project, &ends[0]), "select 'main'");
}
