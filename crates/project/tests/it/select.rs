use wardlake_project::{Project, ResourceType};

use crate::support::Folder;

fn project() -> Project {
    Folder::new(&[
        ("models/staging/stg_a.sql", "select * from {{ source('crm', 'a') }}"),
        ("models/staging/stg_b.sql", "{{ config(tags=['nightly']) }} select 1"),
        ("models/marts/dim.sql", "{{ config(materialized='table', meta={'owner': 'me'}) }} select * from {{ ref('stg_a') }} join {{ ref('stg_b') }} using (x)"),
        ("models/marts/fct.sql", "{{ config(tags='nightly') }} select * from {{ ref('dim') }}"),
        ("models/p.yml", "sources: [{name: crm, tables: [{name: a}]}]\nmodels:\n  - name: stg_a\n    columns: [{name: x, tests: [not_null]}]\n  - name: dim\n    columns: [{name: x, tests: [unique]}]\nexposures: [{name: board, type: dashboard, owner: {name: me}, depends_on: [ref('fct')]}]\n"),
        ("tests/both.sql", "select * from {{ ref('stg_a') }} join {{ ref('fct') }} using (x)"),
        ("selectors.yml", "selectors:\n  - name: night\n    definition:\n      union:\n        - tag:nightly\n        - {method: fqn, value: stg_a}\n        - exclude: [fct]\n"),
    ])
    .load()
}

/// Names of what is selected, types in short, in order of the alphabet.
fn names(project: &Project, select: &str, exclude: &str, types: Option<&[ResourceType]>) -> String {
    let list = |text: &str| if text.is_empty() { vec![] } else { vec![text.to_owned()] };
    let ids = project.select(&list(select), &list(exclude), types).unwrap_or_else(|p| panic!("{p}"));
    let mut names: Vec<String> = ids
        .iter()
        .map(|id| {
            project.node(id).map_or_else(|| id.rsplit('.').next().unwrap_or_default().to_owned(), |n| n.name.clone())
        })
        .collect();
    names.sort();
    names.join(" ")
}

#[test]
fn methods_operators_and_sets() {
    let project = project();
    let models = Some([ResourceType::Model].as_slice());
    let cases = [
        ("", "dim fct stg_a stg_b"),
        ("stg_a", "stg_a"),
        ("stg_a+", "dim fct stg_a"),
        ("stg_a+1", "dim stg_a"),
        ("+fct", "dim fct stg_a stg_b"),
        ("1+fct", "dim fct"),
        ("@stg_a", "dim fct stg_a stg_b"),
        ("*stg_*", "stg_a stg_b"),
        ("staging", "stg_a stg_b"),
        ("shop.marts", "dim fct"),
        ("staging.*", "stg_a stg_b"),
        ("tag:nightly", "fct stg_b"),
        ("tag:nightly,marts", "fct"),
        ("tag:nightly dim", "dim fct stg_b"),
        ("path:models/marts", "dim fct"),
        ("models/staging/stg_b.sql", "stg_b"),
        ("path:models/m*", "dim fct"),
        ("file:dim.sql", "dim"),
        ("config.materialized:table", "dim"),
        ("config.meta.owner:me", "dim"),
        ("source:crm+", "dim fct stg_a"),
        ("package:shop", "dim fct stg_a stg_b"),
        ("+exposure:board", "dim fct stg_a stg_b"),
        ("selector:night", "stg_a stg_b"),
        ("nothing_here", ""),
    ];
    for (select, expected) in cases {
        assert_eq!(names(&project, select, "", models), expected, "{select}");
    }
    assert_eq!(names(&project, "+fct", "tag:nightly", models), "dim stg_a");
}

#[test]
fn tests_come_with_what_they_test() {
    let project = project();
    let tests = Some([ResourceType::Test].as_slice());
    assert_eq!(names(&project, "stg_a", "", tests), "both not_null_stg_a_x");
    assert_eq!(names(&project, "test_type:singular", "", tests), "both");
    assert_eq!(names(&project, "test_name:unique", "", tests), "unique_dim_x");
    assert_eq!(names(&project, "", "dim", tests), "both not_null_stg_a_x");
    assert_eq!(names(&project, "resource_type:exposure", "", None), "board");
}

#[test]
fn order_and_errors() {
    let project = project();
    let ids = project.select(&["dim fct stg_b".to_owned()], &[], Some(&[ResourceType::Model])).unwrap();
    assert_eq!(ids, ["model.shop.stg_b", "model.shop.dim", "model.shop.fct"]);
    for (bad, code) in [
        ("state:modified", "WL-P032"),
        ("tga:x", "WL-P030"),
        ("resource_type:table", "WL-P030"),
        ("selector:x", "WL-P030"),
    ] {
        let problem = project.select(&[bad.to_owned()], &[], None).unwrap_err();
        assert_eq!(problem.0[0].code, code, "{problem}");
    }
}
