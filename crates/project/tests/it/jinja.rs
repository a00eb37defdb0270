//! Templates: language, macros, builtins, the warehouse, errors.

mod errors;
mod language;

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Instant};

use chrono::TimeZone;
use serde_json::{Map, Value as Json, json};
use wardlake_core::Diagnostic;
use wardlake_project::{
    Adapter, AdapterError, Cell, Column, QueryResult, Relation, RelationKind,
    jinja::{Captured, Jinja, Mode, NodeScope, RefCall, RenderRequest, Resolve, Scope, SourceCall},
};

/// A warehouse of one schema: `lake.customers` (a table) and `lake.names` (a view).
struct Warehouse;

fn relation(schema: &str, identifier: &str, kind: RelationKind) -> Relation {
    Relation { database: None, schema: Some(schema.into()), identifier: identifier.into(), kind: Some(kind) }
}

fn column(name: &str, data_type: &str) -> Column {
    Column { name: name.into(), data_type: data_type.into() }
}

impl Adapter for Warehouse {
    fn query(&self, sql: &str) -> Result<QueryResult, AdapterError> {
        if sql.contains("broken") {
            return Err(AdapterError { message: "no such column `broken`".into() });
        }
        Ok(QueryResult {
            columns: vec![column("id", "bigint"), column("Name", "varchar"), column("rate", "double")],
            rows: vec![
                vec![Cell::Int(1), Cell::Text("ann".into()), Cell::Float(0.5)],
                vec![Cell::Int(2), Cell::Text("bob".into()), Cell::Null],
            ],
            rows_affected: None,
        })
    }

    fn relation(&self, schema: &str, identifier: &str) -> Result<Option<Relation>, AdapterError> {
        Ok(self.relations(schema)?.into_iter().find(|found| found.identifier == identifier))
    }

    fn columns(&self, relation: &Relation) -> Result<Vec<Column>, AdapterError> {
        Ok(match relation.identifier.as_str() {
            "customers" => vec![column("id", "bigint"), column("name", "varchar(20)"), column("debt", "decimal(18,2)")],
            "names" => vec![column("name", "varchar")],
            _ => Vec::new(),
        })
    }

    fn relations(&self, schema: &str) -> Result<Vec<Relation>, AdapterError> {
        Ok(match schema {
            "lake" => {
                vec![relation("lake", "customers", RelationKind::Table), relation("lake", "names", RelationKind::View)]
            }
            _ => Vec::new(),
        })
    }

    fn drop_relation(&self, _relation: &Relation) -> Result<(), AdapterError> {
        Ok(())
    }
}

impl Resolve for Warehouse {
    fn resolve_ref(&self, call: &RefCall) -> Result<Relation, String> {
        match call.name.as_str() {
            "missing" => Err("the model `missing` does not exist".into()),
            name => Ok(relation(
                "lake",
                &format!("{name}{}", call.version.as_deref().map(|v| format!("_v{v}")).unwrap_or_default()),
                RelationKind::Table,
            )),
        }
    }

    fn resolve_source(&self, call: &SourceCall) -> Result<Relation, String> {
        Ok(relation(&call.source, &call.table, RelationKind::Table))
    }
}

fn object(json: Json) -> Map<String, Json> {
    json.as_object().cloned().unwrap_or_default()
}

fn scope() -> Arc<Scope> {
    Arc::new(Scope {
        project_name: "shop".into(),
        target: json!({"name": "dev", "schema": "lake", "type": "wardlake", "database": "wardlake", "threads": 4}),
        cli_vars: object(json!({"from_cli": "cli"})),
        package_vars: BTreeMap::from([
            (
                "shop".to_owned(),
                object(json!({"from_cli": "file", "start_date": "2024-01-01", "enabled": true, "list": [1, 2]})),
            ),
            ("helpers".to_owned(), object(json!({"start_date": "1999-01-01"}))),
        ]),
        env: Arc::new(|name| (name == "DBT_ENV_SECRET_TOKEN").then(|| "hidden".to_owned())),
        invocation_id: "0190".into(),
        run_started_at: chrono::Utc.with_ymd_and_hms(2024, 2, 28, 23, 5, 9).single().expect("a time"),
        flags: object(json!({"FULL_REFRESH": false, "STORE_FAILURES": false, "WHICH": "run"})),
        graph: json!({"nodes": {"model.shop.a": {"name": "a", "resource_type": "model"}}}),
        log: Arc::new(|_| {}),
    })
}

fn node() -> NodeScope {
    NodeScope {
        unique_id: "model.shop.orders".into(),
        model: json!({"name": "orders", "alias": "orders", "schema": "lake", "tags": ["daily"], "version": null}),
        this: Some(relation("lake", "orders", RelationKind::Table)),
        config: object(json!({"materialized": "incremental", "unique_key": "id", "meta": {"owner": "ann"}})),
        is_incremental: true,
    }
}

/// An engine with macros of the project and of one package.
fn jinja() -> Jinja {
    let mut jinja = Jinja::new("shop");
    let add = |jinja: &mut Jinja, package: &str, text: &str| {
        jinja.add_macro_file(package, Path::new(&format!("{package}/macros.sql")), text).expect("macros compile")
    };
    add(
        &mut jinja,
        "shop",
        "{% macro add(a, b=2) %}{{ a + b }}{% endmacro %}
{% macro squares(n) %}{% set out = [] %}{% for i in range(n) %}{% do out.append(i * i) %}{% endfor %}{{ return(out) }}{% endmacro %}
{% macro first_even(list) %}{% for x in list %}{% if x % 2 == 0 %}{{ return(x) }}{% endif %}{% endfor %}{% endmacro %}
{% macro outer() %}{% set found = first_even([1, 3, 4]) %}after:{{ found }}{% endmacro %}
{% macro all(a) %}{{ a }}|{{ varargs }}|{{ kwargs }}{% endmacro %}
{% macro wrap(tag) %}<{{ tag }}>{{ caller() }}</{{ tag }}>{% endmacro %}
{% macro each(list) %}{% for x in list %}{{ caller(x) }}{% endfor %}{% endmacro %}
{% macro down(n) %}{{ n }}{% if n > 0 %}{{ down(n - 1) }}{% endif %}{% endmacro %}
{% macro fill(list) %}{% do list.append('filled') %}{% endmacro %}
{% macro shop__greet() %}never{% endmacro %}
{% macro default__overridden() %}shop{% endmacro %}
{% macro which() %}shop's{% endmacro %}
{% macro boom() %}
  {{ exceptions.raise_compiler_error('it broke') }}
{% endmacro %}
{% macro endless(n) %}{{ endless(n + 1) }}{% endmacro %}
{% test positive(model, column_name, min=0) %}select * from {{ model }} where {{ column_name }} < {{ min }}{% endtest %}
{% materialization odd, default %}{% endmaterialization %}",
    );
    add(
        &mut jinja,
        "helpers",
        "{% macro greet(name='you') %}{{ return(adapter.dispatch('greet', 'helpers')(name)) }}{% endmacro %}
{% macro default__greet(name) %}hello {{ name }}{% endmacro %}
{% macro postgres__pick() %}postgres{% endmacro %}
{% macro default__pick() %}default{% endmacro %}
{% macro pick() %}{{ return(adapter.dispatch('pick', 'helpers')()) }}{% endmacro %}
{% macro overridden() %}{{ adapter.dispatch('overridden', 'helpers')() }}{% endmacro %}
{% macro default__overridden() %}helpers{% endmacro %}
{% macro nothing() %}{{ adapter.dispatch('nowhere', 'helpers')() }}{% endmacro %}
{% macro which() %}helpers'{% endmacro %}
{% macro ask_which() %}{{ which() }}{% endmacro %}
{% macro calls_boom() %}
{{ boom() }}
{% endmacro %}",
    );
    jinja
}

struct Setup {
    mode: Mode,
    package: &'static str,
    has_node: bool,
}

const PARSE: Setup = Setup { mode: Mode::Parse, package: "shop", has_node: true };
const EXECUTE: Setup = Setup { mode: Mode::Execute, package: "shop", has_node: true };

fn with_request<T>(setup: &Setup, text: &str, run: impl FnOnce(&RenderRequest<'_>) -> T) -> T {
    let (scope, node) = (scope(), node());
    let resolve: Arc<dyn Resolve> = Arc::new(Warehouse);
    let adapter: Arc<dyn Adapter> = Arc::new(Warehouse);
    run(&RenderRequest {
        package: setup.package,
        path: Path::new("models/orders.sql"),
        first_line: 1,
        text,
        mode: setup.mode,
        scope: &scope,
        node: setup.has_node.then_some(&node),
        resolve: Some(&resolve),
        adapter: Some(&adapter),
        context: object(json!({"extra": {"k": [1]}})),
    })
}

fn render(setup: &Setup, text: &str) -> Result<(String, Captured), Diagnostic> {
    with_request(setup, text, |request| jinja().render(request).map(|rendered| (rendered.text, rendered.captured)))
}

/// Renders every template with one engine and compares the texts.
fn check(setup: &Setup, cases: &[(&str, &str)]) {
    let jinja = jinja();
    let mut wrong = Vec::new();
    for (text, expected) in cases {
        let got = with_request(setup, text, |request| jinja.render(request));
        match got {
            Ok(rendered) if rendered.text == *expected => {}
            Ok(rendered) => wrong.push(format!("{text}\n    got      {:?}\n    expected {expected:?}", rendered.text)),
            Err(problem) => wrong.push(format!("{text}\n    failed   {problem}\n    expected {expected:?}")),
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn the_context_holds_what_dbt_puts_there() {
    check(
        &EXECUTE,
        &[
            (
                "{{ ref('a') }} {{ ref('helpers', 'b') }} {{ ref('c', v=2) }} {{ source('raw', 't') }}",
                "\"lake\".\"a\" \"lake\".\"b\" \"lake\".\"c_v2\" \"raw\".\"t\"",
            ),
            (
                "{{ this }} {{ this.schema }} {{ this.identifier }} {{ this.name }} {{ this.table }} {{ this.database }} {{ this.type }} {{ this.is_table }}{{ this.is_view }}{{ this.is_cte }}",
                "\"lake\".\"orders\" lake orders orders orders None table TrueFalseFalse",
            ),
            (
                "{{ this.include(schema=false) }} {{ this.quote(identifier=false) }} {{ this.without_identifier() }} {{ this.incorporate(path={'identifier': 'x'}) }}",
                "\"orders\" \"lake\".orders \"lake\" \"lake\".\"x\"",
            ),
            (
                "{{ api.Relation.create(schema='s', identifier='i', type='view').is_view }}{{ api.Relation.create(database='d', schema='s', identifier='i') }}",
                "True\"d\".\"s\".\"i\"",
            ),
            (
                "{{ this ~ '' }}{{ this == ref('orders') }}{{ this is none }}{{ '%s' % this }}",
                "\"lake\".\"orders\"TrueFalse\"lake\".\"orders\"",
            ),
            ("{{ target.name }}{{ target.schema }}{{ target['type'] }}{{ target.get('threads') }}", "devlakewardlake4"),
            (
                "{{ execute }}{{ is_incremental() }}{{ flags.WHICH }}{{ flags.FULL_REFRESH }}{{ invocation_id }}",
                "TrueTruerunFalse0190",
            ),
            (
                "{{ model.name }}{{ model.tags }}{{ model['schema'] }}{{ schema }}{{ graph.nodes.values() | map(attribute='name') | list }}",
                "orders['daily']lakelake['a']",
            ),
            (
                "{{ config.get('materialized') }}{{ config.get('nope', 'd') }}{{ config.require('unique_key') }}{{ config.get('meta').owner }}{{ config.get('x') }}",
                "incrementaldidannNone",
            ),
            (
                "{{ var('from_cli') }}{{ var('start_date') }}{{ var('x', 'd') }}{{ var('x', none) }}{{ var('enabled') }}{{ var.has_var('list') }}{{ var('list') }}",
                "cli2024-01-01dNoneTrueTrue[1, 2]",
            ),
            ("{{ env_var('DBT_ENV_SECRET_TOKEN') }}{{ env_var('NOPE', 'd') }}", "hiddend"),
            (
                "{{ run_started_at.strftime('%Y%m%d-%H:%M:%S.%f') }} {{ run_started_at.date() }} {{ run_started_at.isoformat() }} {{ run_started_at }}",
                "20240228-23:05:09.000000 2024-02-28 2024-02-28T23:05:09+00:00 2024-02-28 23:05:09+00:00",
            ),
            ("{{ (run_started_at + modules.datetime.timedelta(days=1, hours=1)).strftime('%Y-%m-%d') }}", "2024-03-01"),
            (
                "{% set d = modules.datetime.datetime.strptime('2024-01-31', '%Y-%m-%d') %}{{ d }} {{ (d - modules.datetime.timedelta(days=31)).date() }} {{ d.year }} {{ d.weekday() }}",
                "2024-01-31 00:00:00 2023-12-31 2024 2",
            ),
            (
                "{{ (modules.datetime.date(2024, 3, 1) - modules.datetime.date(2024, 2, 1)).days }}{{ modules.datetime.date(2024, 1, 1) < modules.datetime.date(2024, 1, 2) }}",
                "29True",
            ),
            (
                "{{ run_started_at.astimezone(modules.pytz.timezone('America/New_York')).isoformat() }}",
                "2024-02-28T18:05:09-05:00",
            ),
            (
                "{{ modules.re.match('a(b)', 'abc').group(1) }}{{ modules.re.sub('[0-9]+', '#', 'a1b22') }}{{ modules.re.findall('[a-z]', 'a1b') }}{{ modules.re.search('x', 'y') is none }}{{ modules.re.sub('(a)(b)', '\\\\2\\\\1', 'ab') }}",
                "ba#b#['a', 'b']Trueba",
            ),
            (
                "{{ modules.itertools.product([1, 2], ['a']) | list }}{{ modules.itertools.chain([1], [2]) | list }}",
                "[(1, 'a'), (2, 'a')][1, 2]",
            ),
            (
                "{{ log('x', info=true) }}{{ print('y') }}{{ exceptions.warn('w') }}{{ dbt_version is string }}{{ thread_id is string }}",
                "TrueTrue",
            ),
            (
                "{{ adapter.quote('a\"b') }}{{ adapter.type() }}{{ selected_resources }}{{ dbt_metadata_envs }}{{ pre_hooks }}",
                "\"a\"\"b\"wardlake[]{}[]",
            ),
        ],
    );
}

#[test]
fn the_warehouse_is_asked_in_the_second_pass_only() {
    check(
        &EXECUTE,
        &[
            (
                "{% set r = run_query('select 1') %}{{ r.columns[0].values() }}{{ r.columns['Name'].name }}{{ r.column_names }}{{ r.rows | length }}{{ r | length }}",
                "(1, 2)Name('id', 'Name', 'rate')22",
            ),
            (
                "{% set r = run_query('q') %}{% for row in r %}{{ row[0] }}{{ row['name'] }}{{ row.rate }},{% endfor %}{{ r.rows[0].values() }}{{ r.print_table() }}",
                "1ann0.5,2bobNone,(1, 'ann', 0.5)",
            ),
            (
                "{% for id, name, rate in run_query('q').rows %}{{ id }}{{ name }}{% endfor %}{{ run_query('q').columns | map(attribute='name') | list }}",
                "1ann2bob['id', 'Name', 'rate']",
            ),
            (
                "{% call statement('s', fetch_result=True) %}select 1{% endcall %}{% set s = load_result('s') %}{{ s['data'][1][1] }}{{ s.table.columns[0].values() | list }}{{ load_result('none') }}",
                "bob[1, 2]None",
            ),
            (
                "{{ adapter.get_relation(database='x', schema='lake', identifier='customers') }}{{ adapter.get_relation('x', 'lake', 'nope') }}{{ load_relation(ref('names')).is_view }}",
                "\"lake\".\"customers\"NoneTrue",
            ),
            (
                "{% for c in adapter.get_columns_in_relation(ref('customers')) %}{{ c.name }}:{{ c.dtype }}:{{ c.data_type }}:{{ c.is_string() }}{{ c.is_number() }}{{ c.is_integer() }} {% endfor %}",
                "id:bigint:bigint:FalseTrueTrue name:varchar:varchar(20):TrueFalseFalse debt:decimal:decimal(18,2):FalseTrueFalse ",
            ),
            (
                "{{ adapter.get_missing_columns(ref('customers'), ref('names')) | map(attribute='quoted') | list }}{{ adapter.check_schema_exists('wardlake', 'lake') }}",
                "['\"id\"', '\"debt\"']True",
            ),
            (
                "{{ get_columns_in_query('select 1') }}{{ api.Column('a', 'string').dtype }}{{ api.Column.translate_type('float') }}",
                "['id', 'Name', 'rate']varchardouble",
            ),
            (
                "{{ adapter.list_relations_without_caching(this) | map(attribute='identifier') | list }}{% do adapter.drop_relation(this) %}{% do adapter.expand_target_column_types(this, this) %}",
                "['customers', 'names']",
            ),
        ],
    );
    check(
        &PARSE,
        &[
            (
                "{{ execute }}{{ run_query('broken') }}{{ is_incremental() }}{{ adapter.get_relation(this) }}{{ adapter.get_columns_in_relation(this) }}",
                "FalseNoneFalseNone[]",
            ),
            (
                "{% call statement('s') %}broken{% endcall %}{{ load_result('s') }}{{ ref('missing') }}",
                "None\"lake\".\"missing\"",
            ),
        ],
    );
}

#[test]
fn builtins_speak_the_engines_dialect() {
    check(
        &PARSE,
        &[
            (
                "{{ dbt.type_string() }} {{ type_timestamp() }} {{ dbt.type_int() }} {{ dbt.type_float() }} {{ dbt.type_numeric() }} {{ dbt.type_boolean() }} {{ dbt.type_bigint() }}",
                "varchar timestamp int double decimal(28, 6) boolean bigint",
            ),
            (
                "{{ dbt.dateadd('day', -1, 'x') }} {{ dbt.dateadd(datepart='day', interval=1, from_date_or_timestamp='x') }}",
                "dateadd('day', -1, x) dateadd('day', 1, x)",
            ),
            (
                "{{ dbt.datediff('a', 'b', 'day') }} {{ dbt.date_trunc('month', 'd') }} {{ dbt.current_timestamp() }}",
                "datediff('day', a, b) date_trunc('month', d) current_timestamp",
            ),
            (
                "{{ dbt.last_day('d', 'month') | trim }} {{ dbt.date(2024, 1, 5) }}",
                "last_day(d) cast('2024-01-05' as date)",
            ),
            (
                "{{ dbt.concat(['a', \"'-'\", 'b']) }} {{ dbt.hash('x') }} {{ dbt.safe_cast('x', 'int') }} {{ dbt.cast('x', dbt.type_string()) }}",
                "a || '-' || b md5(cast(x as varchar)) try_cast(x as int) cast(x as varchar)",
            ),
            (
                "{{ dbt.listagg('x') | trim }} {{ dbt.listagg('x', \"'-'\", 'order by y', 2) | trim }}",
                "string_agg(x, ',') array_to_string(array_slice(array_agg(x order by y), 1, 2), '-')",
            ),
            (
                "{{ dbt.split_part('x', \"','\", 1) }} {{ dbt.position('a', 'b') }} {{ dbt.right('x', 2) }} {{ dbt.string_literal('x') }} {{ dbt.escape_single_quotes(\"it's\") }}",
                "split_part(x, ',', 1) strpos(b, a) right(x, 2) 'x' it''s",
            ),
            (
                "{{ except() }} {{ dbt.intersect() }} {{ dbt.any_value('x') }} {{ dbt.array_construct([1, 2]) }} {{ dbt.bool_or('x') }}",
                "except intersect first_value(x) make_array(1, 2) bool_or(x)",
            ),
            (
                "{{ generate_schema_name(none, model) | trim }} {{ generate_schema_name(' mart ', model) | trim }} {{ generate_alias_name(none, model) | trim }} {{ generate_database_name() | trim }}",
                "lake lake_mart orders wardlake",
            ),
            ("{{ test_not_null('t', 'c') | trim }}", "select c\nfrom t\nwhere c is null"),
            (
                "{{ get_where_subquery('t') }} {{ should_store_failures() }} {{ dates_in_range('20240101', '20240103') }}",
                "t False ['20240101', '20240102', '20240103']",
            ),
            (
                "{{ get_quoted_csv(['a', 'b']) }} {{ make_temp_relation(this) }}",
                "\"a\", \"b\" \"lake\".\"orders__dbt_tmp\"",
            ),
        ],
    );
    let (text, _) = render(&PARSE, "{{ test_accepted_values('t', 'c', ['a', \"it's\"]) }}").expect("renders");
    assert_eq!(
        text.split_whitespace().collect::<Vec<_>>().join(" "),
        "select c as value_field, count(*) as n_records from t where c not in ( 'a', 'it''s' ) group by c"
    );
    let (text, _) = render(&PARSE, "{{ dbt.date_spine('day', \"'2024-01-01'\", \"'2024-02-01'\") }}").expect("renders");
    assert!(text.contains("interval '1 day'") && text.contains("as date_day"), "{text}");
}

#[test]
fn calls_are_captured_with_their_lines() {
    let text = "-- depends_on: {{ ref('a') }}
{{ config(materialized='table', tags=['x', 'y'], meta={'k': 1}) }}
{{ config({'alias': 'z', 'materialized': 'view'}) }}
select * from {{ ref('helpers', 'b', v=2) }}
join {{ source('raw', 't') }} on {{ add(1) }} {% if execute %}{{ ref('hidden') }}{% endif %}
{{ helpers.greet() }}";
    let (_, captured) = render(&PARSE, text).expect("renders");
    assert_eq!(
        captured.refs,
        [
            RefCall { package: None, name: "a".into(), version: None, line: 1 },
            RefCall { package: Some("helpers".into()), name: "b".into(), version: Some("2".into()), line: 4 },
        ]
    );
    assert_eq!(captured.sources, [SourceCall { source: "raw".into(), table: "t".into(), line: 5 }]);
    assert_eq!(
        Json::Object(captured.config),
        json!({"materialized": "view", "tags": ["x", "y"], "meta": {"k": 1}, "alias": "z"})
    );
    assert_eq!(captured.macros, ["macro.shop.add", "macro.helpers.greet", "macro.helpers.default__greet"]);
}

#[test]
fn yaml_values_keep_their_type() {
    let jinja = jinja();
    for (text, expected) in [
        ("plain", json!("plain")),
        ("{{ var('enabled') }}", json!(true)),
        (" {{ var('list') }} ", json!([1, 2])),
        ("{{ var('start_date') }}", json!("2024-01-01")),
        ("x_{{ target.name }}", json!("x_dev")),
        ("{{ '5' | as_number }}", json!(5)),
        ("{{ add(1) }}", json!("3")),
        ("{{ none }}", json!(null)),
        ("{{ target.name == 'prod' }}", json!(false)),
        ("{{ 'a' }}{{ 'b' }}", json!("ab")),
    ] {
        let got = with_request(&PARSE, text, |request| jinja.render_value(request, text)).expect("renders");
        assert_eq!(got, expected, "{text}");
    }
}

#[test]
fn macros_are_called_from_outside() {
    let jinja = jinja();
    let call = |name: &str, args: Json, kwargs: Json| {
        let args = args.as_array().cloned().unwrap_or_default();
        with_request(&PARSE, "", |request| jinja.call_macro(request, name, args, object(kwargs)))
            .expect("the macro runs")
    };
    assert_eq!(call("generate_schema_name", json!(["mart", {}]), json!({})).0.trim(), "lake_mart");
    assert_eq!(call("squares", json!([3]), json!({})), ("[0, 1, 4]".to_owned(), Some(json!([0, 1, 4]))));
    assert_eq!(call("add", json!([1]), json!({"b": 4})), ("5".to_owned(), None));
    assert_eq!(call("helpers.greet", json!([]), json!({"name": "z"})), ("hello z".to_owned(), Some(json!("hello z"))));
}

#[test]
fn macros_and_docs_are_listed() {
    let jinja = jinja();
    let found = |package, name| {
        jinja.find_macro(package, name).map(|found| (found.unique_id.as_str(), found.line, found.arguments.join(",")))
    };
    assert_eq!(found("shop", "add"), Some(("macro.shop.add", 1, "a,b".into())));
    assert_eq!(found("helpers", "which").map(|f| f.0), Some("macro.helpers.which"));
    assert_eq!(found("helpers", "add").map(|f| f.0), Some("macro.shop.add"));
    assert_eq!(found("helpers", "generate_schema_name").map(|f| f.0), Some("macro.dbt.generate_schema_name"));
    assert_eq!(found("shop", "test_positive").map(|f| f.2), Some("model,column_name,min".into()));
    assert!(jinja.macros().any(|found| found.unique_id == "macro.shop.materialization_odd_default"));

    let docs =
        jinja.add_doc_file(Path::new("docs.md"), "x\n{% docs a %}\nit's {{ raw }}\n{% enddocs %}").expect("docs");
    assert_eq!((docs[0].name.as_str(), docs[0].contents.as_str(), docs[0].line), ("a", "it's {{ raw }}", 2));
    let problems = jinja.add_doc_file(Path::new("docs.md"), "{% docs a %}").expect_err("no end");
    assert_eq!(problems[0].location.as_ref().map(ToString::to_string), Some("docs.md:1:1".into()));
}

#[test]
fn dispatch_follows_the_projects_order() {
    let mut jinja = jinja();
    jinja.set_dispatch("helpers", vec!["helpers".into(), "shop".into()]);
    let text =
        with_request(&PARSE, "{{ helpers.overridden() }}", |request| jinja.render(request)).expect("renders").text;
    assert_eq!(text, "helpers");
}

#[test]
fn many_threads_render_at_once_and_quickly() {
    let jinja = jinja();
    let text = "{{ config(materialized='table') }}\nselect {{ dbt.dateadd('day', 1, 'd') }} from {{ ref('a') }} where {{ add(1, 2) }}";
    let begin = Instant::now();
    std::thread::scope(|threads| {
        for _ in 0..4 {
            threads.spawn(|| {
                for _ in 0..250 {
                    let rendered = with_request(&PARSE, text, |request| jinja.render(request)).expect("renders");
                    assert_eq!(rendered.captured.refs.len(), 1);
                }
            });
        }
    });
    println!("1000 renders: {:?}", begin.elapsed());
}
