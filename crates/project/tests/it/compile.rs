use std::sync::Arc;

use wardlake_project::Adapter;

use crate::support::{Empty, Folder, sql, squeeze};

#[test]
fn ephemeral_models_become_ctes_innermost_first() {
    let project = Folder::new(&[
        ("models/a.sql", "{{ config(materialized='ephemeral') }} select 1 as x"),
        ("models/b.sql", "{{ config(materialized='ephemeral') }} select * from {{ ref('a') }}"),
        ("models/c.sql", "with d as (select * from {{ ref('b') }}) select * from d join {{ ref('a') }} using (x)"),
    ])
    .load();
    assert_eq!(
        sql(&project, "model.shop.c"),
        "with __dbt__cte__a as ( select 1 as x ), __dbt__cte__b as ( select * from __dbt__cte__a ), d as (select * from \
         __dbt__cte__b) select * from d join __dbt__cte__a using (x)"
    );
}

#[test]
fn incremental_branches_need_depends_on() {
    let project = Folder::new(&[
        ("models/a.sql", "select 1 as x"),
        ("models/good.sql", "-- depends_on: {{ ref('a') }}\n{{ config(materialized='incremental', post_hook=\"select '{{ this }}'\") }}\n{% if is_incremental() %}select * from {{ ref('a') }}{% else %}select 0 as x{% endif %}"),
        ("models/bad.sql", "{{ config(materialized='incremental') }}\n{% if execute %}select * from {{ ref('a') }}{% endif %}"),
    ])
    .load();
    let adapter: Arc<dyn Adapter> = Arc::new(Empty);
    let good = project.compile(&"model.shop.good".to_owned(), &adapter, true).unwrap();
    assert!(good.sql.ends_with("select * from \"main\".\"a\""), "{}", good.sql);
    assert_eq!(good.post_hooks, ["select '\"main\".\"good\"'"]);
    let bad = project.compile(&"model.shop.bad".to_owned(), &adapter, true).unwrap_err();
    assert!(bad.to_string().contains("-- depends_on: {{ ref('a') }}"), "{bad}");
    assert_eq!(bad.location.unwrap().line, 2);
}

#[test]
fn only_an_incremental_run_looks_rows_up() {
    let looked_up = "{{ matching(ref('a'), ['x', 'y'], keys) }}";
    let model = |how: &str| {
        format!(
            "{{{{ config(materialized='{how}') }}}}{{% set keys = 'select x, y from k' %}}\
             select * from {looked_up} union all select * from {looked_up} where x > 0"
        )
    };
    let (growing, whole) = (model("incremental"), model("table"));
    let project = Folder::new(&[
        ("models/a.sql", "select 1 as x, 2 as y"),
        ("models/growing.sql", &growing),
        ("models/whole.sql", &whole),
        (
            "models/wrong.sql",
            "{{ config(materialized='incremental') }} select * from {{ matching('a', ['x'], 'select 1') }}",
        ),
    ])
    .try_load();
    // What is no relation is found when the project is read.
    let problems = project.map(|_| ()).unwrap_err().to_string();
    assert!(problems.contains("`matching` takes a relation"), "{problems}");

    let project = Folder::new(&[
        ("models/a.sql", "select 1 as x, 2 as y"),
        ("models/growing.sql", &growing),
        ("models/whole.sql", &whole),
    ])
    .load();
    let adapter: Arc<dyn Adapter> = Arc::new(Empty);
    let compiled = project.compile(&"model.shop.growing".to_owned(), &adapter, true).unwrap();
    // The same rows are looked up once, under one name.
    let [lookup] = &compiled.lookups[..] else { panic!("{:?}", compiled.lookups) };
    assert_eq!((lookup.of.identifier.as_str(), lookup.keys.as_str()), ("a", "select x, y from k"));
    assert_eq!(lookup.columns, ["x", "y"]);
    assert_eq!(
        compiled.sql.matches("\"matching\".\"main.a by x, y of main.growing 1\"").count(),
        2,
        "{}",
        compiled.sql
    );
    let plain = project.compile(&"model.shop.whole".to_owned(), &adapter, true).unwrap();
    assert!(plain.lookups.is_empty());
    assert_eq!(plain.sql.matches("from \"main\".\"a\"").count(), 2, "{}", plain.sql);
}

#[test]
fn generic_tests_compile_with_where_and_typed_arguments() {
    let project = Folder::new(&[
        ("models/a.sql", "select 1 as x"),
        ("macros/t.sql", "{% test among(model, column_name, options, other) %}select * from {{ model }} where {{ column_name }} not in ({{ options | join(', ') }}) and y in (select y from {{ other }}){% endtest %}"),
        ("models/p.yml", "models:\n  - name: a\n    columns:\n      - name: x\n        tests:\n          - among: {arguments: {options: [1, 2], other: \"{{ ref('a') }}\"}, config: {where: x > 0}}\n"),
    ])
    .load();
    let id = project.nodes().keys().find(|id| id.starts_with("test.")).unwrap();
    assert_eq!(
        sql(&project, id),
        "select * from (select * from \"main\".\"a\" where x > 0) dbt_subquery where x not in (1, 2) and y in (select y from \
         \"main\".\"a\")"
    );
}

#[test]
fn inline_sql_sees_refs_and_ephemerals() {
    let project = Folder::new(&[
        ("models/a.sql", "select 1 as x"),
        ("models/e.sql", "{{ config(materialized='ephemeral') }}select 2 as x"),
    ])
    .load();
    let adapter: Arc<dyn Adapter> = Arc::new(Empty);
    let sql = project.compile_inline("select * from {{ ref('a') }}, {{ ref('e') }}", &adapter).unwrap();
    assert_eq!(squeeze(&sql), "with __dbt__cte__e as ( select 2 as x ) select * from \"main\".\"a\", __dbt__cte__e");
    let error = project.compile_inline("select * from {{ ref('aa') }}", &adapter).unwrap_err();
    assert!(error.to_string().contains("aa"), "{error}");
}
