//! Errors: codes, places, traces, and what to do.

use std::path::Path;

use wardlake_project::jinja::Jinja;

use super::{EXECUTE, PARSE, render};

/// Template, code, part of the message, place, trace, part of the help.
type Case<'a> = (&'a str, &'a str, &'a str, &'a str, &'a [&'a str], &'a str);

#[test]
fn errors_name_the_place_and_the_way_out() {
    let cases: &[Case<'_>] = &[
        (
            "select 1\n  {{ ref('missing') }}",
            "WL-J005",
            "the model `missing` does not exist",
            "models/orders.sql:2:6",
            &[],
            "",
        ),
        (
            "{{ [1] + [2] }}\n{{ add(1) ~ ad(1) }}",
            "WL-J002",
            "'ad' is undefined. This can happen when calling a macro",
            "models/orders.sql:2:13",
            &[],
            "`add`",
        ),
        (
            "{{ helpers.gret() }}",
            "WL-J002",
            "'helpers.gret' is undefined",
            "models/orders.sql:1:4",
            &[],
            "`helpers.greet`",
        ),
        (
            "{{ dbt_utils.star(ref('a')) }}",
            "WL-J002",
            "'dbt_utils.star' is undefined",
            "models/orders.sql:1:4",
            &[],
            "",
        ),
        ("{{ boom() }}", "WL-J008", "it broke", "shop/macros.sql:14:6", &["models/orders.sql:1:4"], ""),
        (
            "x\n{{ helpers.calls_boom() }}",
            "WL-J008",
            "it broke",
            "shop/macros.sql:14:6",
            &["helpers/macros.sql:12:4", "models/orders.sql:2:4"],
            "",
        ),
        (
            "{{ var('start_dat') }}",
            "WL-J006",
            "`start_dat` is required",
            "models/orders.sql:1:4",
            &[],
            "did you mean `start_date`? Known vars: enabled, from_cli, list, start_date",
        ),
        ("{{ env_var('NOPE') }}", "WL-J007", "`NOPE` is required", "models/orders.sql:1:4", &[], "default"),
        (
            "{{ add(1, 2, 3) }}",
            "WL-J004",
            "macro `add` takes at most 2 arguments, 3 were given",
            "models/orders.sql:1:4",
            &[],
            "(a, b)",
        ),
        ("{{ add(1, bb=3) }}", "WL-J004", "macro `add` has no argument `bb`", "models/orders.sql:1:4", &[], ""),
        ("{{ 'x' | nofilter }}", "WL-J003", "nofilter", "models/orders.sql:1:10", &[], ""),
        ("{% if x %}\n{{ 1 }", "WL-J001", "", "models/orders.sql:2:6", &[], ""),
        ("{{ 'a' + 1 }}", "WL-J011", "`+` does not work between string and number", "models/orders.sql:1:4", &[], ""),
        ("{{ run_query('broken') }}", "WL-J009", "no such column `broken`", "models/orders.sql:1:4", &[], ""),
        (
            "{{ helpers.nothing() }}",
            "WL-J012",
            "found no macro for `nowhere`",
            "helpers/macros.sql:8:25",
            &["models/orders.sql:1:4"],
            "shop.wardlake__nowhere",
        ),
        ("{{ return(1) }}", "WL-J013", "`return` ends a macro", "models/orders.sql:1:4", &[], ""),
        (
            "{{ config.require('unique_ke') }}",
            "WL-J015",
            "`unique_ke` is required",
            "models/orders.sql:1:4",
            &[],
            "`unique_key`",
        ),
        ("{{ [].appendd(1) }}", "WL-J002", "a list has no method `appendd`", "models/orders.sql:1:6", &[], ""),
        (
            "{{ adapter.nothing() }}",
            "WL-J002",
            "<adapter wardlake> has no method `nothing`",
            "models/orders.sql:1:4",
            &[],
            "",
        ),
        ("{{ none.x() }}", "WL-J002", "None has no method `x`", "models/orders.sql:1:4", &[], ""),
        ("{{ 1 + x }}", "WL-J011", "`+` does not work between number and undefined", "models/orders.sql:1:4", &[], ""),
        (
            "{% set r = [] | first %}{{ {'a': 1}.pop('b') }}",
            "WL-J011",
            "the dict has no key 'b'",
            "models/orders.sql:1:36",
            &[],
            "",
        ),
        (
            "{{ source('one') }}",
            "WL-J004",
            "`source` takes a source and one of its tables",
            "models/orders.sql:1:4",
            &[],
            "",
        ),
    ];
    let mut wrong = Vec::new();
    for (text, code, message, place, trace, help) in cases {
        let problem = render(&EXECUTE, text).expect_err(text);
        let at = problem.location.as_ref().map(ToString::to_string).unwrap_or_default();
        let frames: Vec<String> = problem.trace.iter().map(ToString::to_string).collect();
        let is_right = problem.code == *code
            && problem.message.contains(message)
            && at == *place
            && frames == *trace
            && problem.help.as_deref().unwrap_or_default().contains(help);
        if !is_right {
            wrong.push(format!(
                "{text}\n{problem}\nexpected {code}: {message} at {place}, trace {trace:?}, help {help}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n\n"));
}

#[test]
fn templates_without_end_are_stopped() {
    let endless = "{% set l = range(100000) %}{% for a in l %}{% for b in l %}{{ a * b }}{% endfor %}{% endfor %}";
    assert_eq!(render(&PARSE, endless).expect_err("stopped").code, "WL-J010");
    assert_eq!(render(&PARSE, "{{ endless(1) }}").expect_err("stopped").code, "WL-J010");
}

#[test]
fn c08_what_grows_without_end_is_stopped() {
    let sixty = |step: &str| {
        format!(
            "{{% set ns = namespace(s='x\"', l=[1]) %}}{{% for i in range(60) %}}{step}{{% endfor %}}{{{{ ns.l | length }}}}"
        )
    };
    for step in [
        "{% set ns.s = ns.s ~ ns.s %}",
        "{% set ns.s = ns.s + ns.s %}",
        "{% set ns.s = ns.s * 2 %}",
        "{% set ns.s = '%s%s' % (ns.s, ns.s) %}",
        "{% set ns.s = '{0}{0}'.format(ns.s) %}",
        "{% set ns.s = '%s%s' | format(ns.s, ns.s) %}",
        "{% set ns.s = [ns.s, ns.s] | join %}",
        "{% set ns.s = ''.join([ns.s, ns.s]) %}",
        "{% set ns.s = ns.s.replace('x', ns.s) %}",
        "{% set ns.s = ns.s | tojson %}",
        "{% set ns.s = [ns.s] | string %}{% set ns.s = ns.s ~ ns.s %}",
        "{% set kept %}{{ ns.s }}{{ ns.s }}{% endset %}{% set ns.s = kept %}",
        "{% set ns.l = ns.l + ns.l %}",
        "{% do ns.l.extend(ns.l) %}",
    ] {
        let problem = render(&PARSE, &sixty(step)).expect_err(step);
        assert_eq!(problem.code, "WL-J010", "{step}: {problem}");
        assert!(problem.help.is_some() && problem.location.is_some(), "{step}: {problem}");
    }
    for text in [
        "{{ '%999999999999s' % 'a' }}",
        "{{ '%*d' % (999999999999, 1) }}",
        "{{ '{:>999999999999}'.format('a') }}",
        "{{ 'a' | indent(999999999999, true) }}",
        "{{ 'aaaaaaaa' * 999999999999 }}",
        "{{ [1] * 999999999999 }}",
        "{% for i in range(1000000) %}a line of a hundred characters, a line of a hundred characters, a line of a hundred{% endfor %}",
    ] {
        assert_eq!(render(&PARSE, text).expect_err(text).code, "WL-J010", "{text}");
    }
    for deep in ["(", "[", "{'a': "] {
        let text = format!("{{{{ {} }}}}", deep.repeat(100_000));
        assert_eq!(render(&PARSE, &text).expect_err(deep).code, "WL-J001");
    }
    for (text, printed) in [
        ("{{ '%d%% of 200000' % 5 }}", "5% of 200000"),
        ("{{ '%s * 200000' % 300000 }}", "300000 * 200000"),
        ("{{ '{:>3}|{}'.format('a', 2) }}", "  a|2"),
        ("{{ 'a-b' | replace('-', '+') | indent(2) }}", "a+b"),
    ] {
        assert_eq!(render(&PARSE, text).expect(text).0, printed, "{text}");
    }
}

#[test]
fn macro_files_report_every_problem() {
    let mut jinja = Jinja::new("shop");
    let text = "{% macro a() %}{% endmacro %}\n{% macro a() %}{% endmacro %}\n  {% macro b() %}{{ 1 + }}{% endmacro %}\n{% macro c() %}";
    let problems = jinja.add_macro_file("shop", Path::new("m.sql"), text).expect_err("three problems");
    let mut found: Vec<(String, usize)> =
        problems.iter().map(|p| (p.code.clone(), p.location.as_ref().map_or(0, |l| l.line))).collect();
    found.sort();
    assert_eq!(found, [("WL-J001".to_owned(), 3), ("WL-J001".to_owned(), 4), ("WL-J014".to_owned(), 2)]);
    assert!(jinja.find_macro("shop", "a").is_some());
}
