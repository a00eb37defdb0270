//! The language: values, lists and dicts, text, loops, macros.

use std::path::Path;

use wardlake_project::jinja::Jinja;

use super::{EXECUTE, PARSE, check, with_request};

#[test]
fn values_print_as_python_prints_them() {
    check(
        &PARSE,
        &[
            ("{{ true }} {{ False }} {{ none }} {{ None }}", "True False None None"),
            ("{{ [1, 'a', none, true, 1.0, [2]] }}", "[1, 'a', None, True, 1.0, [2]]"),
            ("{{ {'a': 1, \"it's\": {'b': []}} }}", "{'a': 1, \"it's\": {'b': []}}"),
            ("{{ (1, 'x') }} {{ (1,) }}", "(1, 'x') (1,)"),
            ("{{ 1.5 }} {{ 2.0 }} {{ 1e20 }} {{ 7 / 2 }} {{ 7 // 2 }} {{ 2 ** 3 }}", "1.5 2.0 1e+20 3.5 3 8"),
            ("{{ -7 % 3 }} {{ 7 - 2 - 1 }} {{ 2 + 3 * 4 }} {{ (2 + 3) * 4 }}", "2 4 14 20"),
            ("{{ 'a' ~ true ~ none ~ 1 ~ ['x'] }}", "aTrueNone1['x']"),
            ("{{ 'a' 'b' \"c\" }}", "abc"),
            ("{{ nothing }}|{{ nothing.at.all }}|{{ nothing['x'].y }}", "||"),
            ("{{ 'yes' if true }}{{ 'no' if false }}", "yes"),
            ("{{ true | string }} {{ none | string | upper }}", "True NONE"),
            ("{{ 'x' * 3 }} {{ [0] * 2 }}", "xxx [0, 0]"),
            ("a\n", "a"),
            ("a\n\n", "a\n"),
            ("{% if true %}\nx\n{% endif %}\n", "\nx\n"),
            ("{%- if true -%}\n x \n{%- endif %}", "x"),
            ("{# {{ nope( }} #}{% raw %}{{ [1] + }}{% endraw %}", "{{ [1] + }}"),
        ],
    );
}

#[test]
fn lists_and_dicts_change_in_place_and_are_shared() {
    check(
        &PARSE,
        &[
            (
                "{% set l = [1] %}{% set m = l %}{% do m.append(2) %}{% do l.extend([3, 4]) %}{{ l }} {{ m is sameas l }}",
                "[1, 2, 3, 4] True",
            ),
            (
                "{% set l = [3, 1, 2] %}{{ l.pop() }}{{ l.pop(0) }}{% do l.insert(0, 9) %}{{ l }}{% do l.remove(9) %}{{ l }}",
                "23[9, 1][1]",
            ),
            (
                "{% set l = [3, 1, 2] %}{% do l.sort() %}{{ l }}{% do l.reverse() %}{{ l }}{{ l.index(1) }}{{ l.count(3) }}",
                "[1, 2, 3][3, 2, 1]21",
            ),
            ("{% set l = [1] %}{% do l.clear() %}{{ l }}{{ l | length }}", "[]0"),
            ("{% set l = [] %}{% for i in [1, 2] %}{% do l.append(i) %}{% endfor %}{{ l }}", "[1, 2]"),
            ("{% set l = [1] + [2] %}{% do l.append(3) %}{{ l }}", "[1, 2, 3]"),
            (
                "{% set l = [1, 2, 3] %}{% set r = l[1:] %}{% do l.append(4) %}{% do r.append(5) %}{{ l }}{{ r }}",
                "[1, 2, 3, 4][2, 3, 5]",
            ),
            (
                "{{ [1, 2, 3, 4][::2] }}{{ [1, 2, 3][::-1] }}{{ 'hello'[1:-1] }}{{ 'hello'[-3:] }}{{ [1, 2][-1] }}{{ (1, 2, 3)[:2] }}",
                "[1, 3][3, 2, 1]ellllo2(1, 2)",
            ),
            ("{% set l = 'a,b'.split(',') %}{% do l.append('c') %}{{ l }}", "['a', 'b', 'c']"),
            (
                "{% set l = [2, 1] | sort %}{% do l.append(3) %}{{ l }}{% set u = [1, 1] | unique | list %}{% do u.append(2) %}{{ u }}",
                "[1, 2, 3][1, 2]",
            ),
            (
                "{% set d = {'a': 1} %}{% do d.update({'b': 2}) %}{% do d.update(c=3) %}{{ d }}{{ d['b'] }}{{ d.c }}",
                "{'a': 1, 'b': 2, 'c': 3}23",
            ),
            (
                "{% set d = {'a': 1} %}{{ d.pop('a') }}{{ d.pop('x', 'none') }}{{ d }}{{ d.setdefault('k', []) }}{% do d['k'].append(1) %}{{ d }}",
                "1none{}[]{'k': [1]}",
            ),
            (
                "{% set d = {'a': 1, 2: 'x'} %}{{ d[2] }}{{ d.get('q') }}{{ d.get('q', 'z') }}{{ d.keys() | list }}{{ d.values() | list }}",
                "xNonez['a', 2][1, 'x']",
            ),
            (
                "{% for k, v in {'a': 1, 'b': 2}.items() %}{{ k }}={{ v }}{{ ',' if not loop.last }}{% endfor %}",
                "a=1,b=2",
            ),
            (
                "{% set d = {} %}{% set _ = d.update({'x': [1]}) %}{{ 'x' in d }}{{ 'y' not in d }}{{ d.x[0] }}",
                "TrueTrue1",
            ),
            ("{% set l = [] %}{{ fill(l) }}{{ l }}", "['filled']"),
            (
                "{% set ns = namespace(n=0, l=[]) %}{% for i in range(3) %}{% set ns.n = ns.n + i %}{% do ns.l.append(i) %}{% endfor %}{{ ns.n }}{{ ns.l }}",
                "3[0, 1, 2]",
            ),
            ("{% set a, b = 1, [2] %}{{ a }}{{ b }}{% set text %}x{{ a }}{% endset %}{{ text }}", "1[2]x1"),
            ("{% set l = [1] %}{% do l.append(l) %}{{ l | length }}", "2"),
            (
                "{% set d = {} %}{% do d.update([('a', 1)]) %}{{ d }}{{ dict(a=1, b=[2]) }}{{ {'a': 1} == dict(a=1) }}{{ [1] == [1] }}",
                "{'a': 1}{'a': 1, 'b': [2]}TrueTrue",
            ),
        ],
    );
}

#[test]
fn text_loops_tests_and_filters_work() {
    check(
        &PARSE,
        &[
            ("{{ '%s is %d (%.2f)' % ('x', 3, 1.5) }}{{ '%s' % none }}", "x is 3 (1.50)None"),
            ("{{ '{} {1} {a}'.format('x', a=true) if false else '{0} {a}'.format('x', a=true) }}", "x True"),
            ("{{ '%s-%s' | format('a', 'b') }}", "a-b"),
            (
                "{{ 'A b'.lower() }}{{ 'a'.upper() }}{{ ' x '.strip() }}{{ 'a.b.c'.split('.', 1) }}{{ 'a b'.split() }}",
                "a bAx['a', 'b.c']['a', 'b']",
            ),
            (
                "{{ 'abc'.startswith('ab') }}{{ 'abc'.endswith('bc') }}{{ 'aXa'.replace('a', 'b') }}{{ ','.join([1, none]) }}",
                "TrueTruebXb1,None",
            ),
            (
                "{{ '7'.zfill(3) }}{{ 'a'.ljust(3) }}|{{ 'ab'.find('b') }}{{ 'x_y'.partition('_') }}{{ 'abc'.removeprefix('a') }}",
                "007a  |1('x', '_', 'y')bc",
            ),
            (
                "{% for x in [1, 2, 3] %}{% if x == 2 %}{% continue %}{% endif %}{{ loop.index }}{{ loop.first }}{{ loop.revindex0 }} {% endfor %}",
                "1True2 3False0 ",
            ),
            ("{% for x in [] %}x{% else %}empty{% endfor %}", "empty"),
            ("{% for x in [1, 2, 3, 4] if x is even %}{{ loop.length }}{{ loop.cycle('a', 'b') }}{% endfor %}", "2a2b"),
            ("{% for a, b in zip([1, 2], ['x', 'y']) %}{{ a }}{{ b }}{% endfor %}", "1x2y"),
            (
                "{{ none is none }}{{ x is undefined }}{{ {} is mapping }}{{ [] is iterable }}{{ 'a' is string }}{{ 1 is number }}{{ [] is sequence }}{{ 'a' is mapping }}",
                "TrueTrueTrueTrueTrueTrueTrueFalse",
            ),
            (
                "{{ 1 in [1] }}{{ 2 not in [1] }}{{ 'b' in 'abc' }}{{ not none }}{{ 1 is not none }}{{ 3 is in [3] }}{{ 1 < 2 < 3 }}",
                "TrueTrueTrueTrueTrueTrueTrue",
            ),
            (
                "{{ ['b', 'a'] | sort | join('+') }}{{ [{'n': 1}, {'n': 2}] | map(attribute='n') | list }}{{ ['a'] | map('upper') | join }}",
                "a+b[1, 2]A",
            ),
            (
                "{{ [{'n': 1}, {'n': 2}] | selectattr('n', 'equalto', 2) | list }}{{ [1, 2, 3] | reject('odd') | list }}{{ [1, 2] | sum }}",
                "[{'n': 2}][2]3",
            ),
            (
                "{{ 'x' | default('d') }}{{ none | default('d', true) }}{{ y | default('d') }}{{ [3, 1] | max }}{{ [1, 2] | first }}{{ [1, 2] | last }}",
                "xdd312",
            ),
            (
                "{{ '12' | int + 1 }}{{ 'x' | int }}{{ '1.5' | float }}{{ 3.7 | int }}{{ 'a b' | replace(' ', '_') }}{{ ' a ' | trim }}{{ 'ab' | list }}",
                "1301.53a_ba['a', 'b']",
            ),
            (
                "{{ {'a': [1, none, true]} | tojson }}{{ tojson({'b': 1, 'a': 'x'}, sort_keys=true) }}",
                "{\"a\": [1, null, true]}{\"a\": \"x\", \"b\": 1}",
            ),
            (
                "{{ fromjson('{\"a\": [1]}').a[0] }}{{ fromyaml('a: [1, x]')['a'] }}{{ toyaml({'a': [1, 'x'], 'b': {}}) }}",
                "1[1, 'x']a:\n  - 1\n  - x\nb: {}\n",
            ),
            (
                "{{ set([1, 2, 1]) | list }}{{ zip_strict([1], [2]) | list }}{{ local_md5('a') }}",
                "[1, 2][(1, 2)]0cc175b9c0f1b6a831c399e269772661",
            ),
            ("{{ diff_of_two_dicts({'a': ['X', 'y'], 'b': [1]}, {'A': ['x']}) }}", "{'a': ['y'], 'b': [1]}"),
            (
                "{{ 'true' | as_bool }}{{ '5' | as_number + 1 }}{{ '[1, 2]' | as_native }}{{ 5 | as_text }}",
                "True6[1, 2]5",
            ),
            (
                "{% if 'false' | as_bool %}x{% endif %}{% filter upper %}a{% endfilter %}{% with x = [1] %}{{ x }}{% endwith %}",
                "A[1]",
            ),
            ("{{ range(2, 8, 3) | list }}{{ range(3)[1] }}{{ range(3, 0, -1) | list }}", "[2, 5]1[3, 2, 1]"),
            (
                "{{ context['project_name'] }}{{ context.get('nope') }}{{ project_name }}{{ extra.k[0] }}",
                "shopNoneshop1",
            ),
        ],
    );
}

#[test]
fn macros_bind_arguments_and_return_values() {
    check(
        &PARSE,
        &[
            ("{{ add(1) }}{{ add(1, b=5) }}{{ add(b=1, a=1) }}", "362"),
            ("{{ squares(4) }}{{ squares(3)[2] + 1 }}{{ squares(2) | length }}", "[0, 1, 4, 9]52"),
            ("{{ outer() }}", "after:4"),
            ("{{ all(1, 2, 3, x=4) }}{{ all(1) }}", "1|[2, 3]|{'x': 4}1|[]|{}"),
            ("{% set rest = [2] %}{% set named = {'x': 1} %}{{ all(1, *rest, **named) }}", "1|[2]|{'x': 1}"),
            ("{% call wrap('b') %}x{{ project_name }}{% endcall %}", "<b>xshop</b>"),
            ("{% set y = 'y' %}{% call(x) each([1, 2]) %}{{ x }}{{ y }}{% endcall %}", "1y2y"),
            ("{{ down(3) }}", "3210"),
            ("{{ helpers.greet() }}{{ helpers.greet('ann') }}", "hello youhello ann"),
            ("{{ helpers.pick() }}{{ helpers.overridden() }}", "postgresshop"),
            ("{{ which() }}{{ helpers.ask_which() }}", "shop'shelpers'"),
            (
                "{% macro local(a, b='d') %}{{ a }}{{ b }}{{ varargs }}{% endmacro %}{{ local(1) }}{{ local(1, 2, 3) }}",
                "1d[]12[3]",
            ),
            ("{% macro twice(x) %}{{ return(x * 2) }}{% endmacro %}{{ twice(4) + 1 }}", "9"),
            ("{% set f = helpers.greet %}{{ f('z') }}{% set g = add %}{{ g(1, 1) }}", "hello z2"),
            ("{{ test_positive('t', 'c', min=5) }}", "select * from t where c < 5"),
            ("{{ builtins.ref('a') }}", "\"lake\".\"a\""),
        ],
    );
}

#[test]
fn packages_idioms_work() {
    let mut jinja = Jinja::new("shop");
    // The way widely used packages write their macros: defaults that are lists, dispatch, guards on `execute`,
    // relations told from text, dicts of lists keyed by relations.
    let text = "{% macro key(fields) %}{{ return(adapter.dispatch('key', 'tools')(fields)) }}{% endmacro %}
{%- macro default__key(fields) -%}
{%- set parts = [] -%}
{%- for field in fields -%}
    {%- do parts.append(\"coalesce(cast(\" ~ field ~ \" as \" ~ dbt.type_string() ~ \"), '\" ~ var('null_text', '_null_') ~ \"')\") -%}
    {%- if not loop.last %}{%- do parts.append(\"'-'\") -%}{%- endif -%}
{%- endfor -%}
{{ dbt.hash(dbt.concat(parts)) }}
{%- endmacro -%}
{% macro is_relation(obj) %}{{ return(obj is mapping and obj.get('metadata', {}).get('type', '').endswith('Relation')) }}{% endmacro %}
{% macro star(from, except=[], prefix='') -%}
{%- if not execute -%}{% do return('*') %}{%- endif -%}
{%- set except = except | map('lower') | list -%}
{%- for col in adapter.get_columns_in_relation(from) if col.column | lower not in except -%}
{{ prefix }}{{ adapter.quote(col.column) | trim }}{% if not loop.last %}, {% endif %}
{%- endfor -%}
{%- endmacro %}
{% macro union(relations) %}
{%- set superset = {} -%}{%- set by_relation = {} -%}
{%- for relation in relations -%}
    {%- do by_relation.update({relation: []}) -%}
    {%- for col in adapter.get_columns_in_relation(relation) -%}
        {%- do by_relation[relation].append(col.column) -%}
        {%- do superset.update({col.column: col}) -%}
    {%- endfor -%}
{%- endfor -%}
{%- for relation in relations -%}
select {% for name in superset.keys() %}{{ name if name in by_relation[relation] else 'null' }}{{ ', ' if not loop.last }}{% endfor %} from {{ relation }}{% if not loop.last %} union all {% endif %}
{%- endfor -%}
{% endmacro %}
{% macro values_of(table, column) %}
{%- call statement('values_of', fetch_result=true) -%}select {{ column }} from {{ table }}{%- endcall -%}
{%- set found = load_result('values_of') -%}
{%- if found and found['data'] -%}{{ return(found['data'] | map(attribute=0) | list) }}{%- else -%}{{ return([]) }}{%- endif -%}
{% endmacro %}
{% macro powers(n) %}{% for _ in range(1, 100) %}{% if n <= 2 ** loop.index %}{{ return(loop.index) }}{% endif %}{% endfor %}{% endmacro %}
{% macro slug(text) %}{% set text = modules.re.sub('[ -]+', '_', text | lower) %}{% set text = modules.re.sub('^[0-9]', '_' + text[0], text) %}{{ return(text) }}{% endmacro %}
{% macro group_by(n) %}group by {% for i in range(1, n + 1) -%}{{ i }}{{ ',' if not loop.last }}{%- endfor -%}{% endmacro %}";
    jinja.add_macro_file("tools", Path::new("tools.sql"), text).expect("macros compile");
    for (text, expected) in [
        (
            "{{ tools.key(['a', 'b']) }}",
            "md5(cast(coalesce(cast(a as varchar), '_null_') || '-' || coalesce(cast(b as varchar), '_null_') as varchar))",
        ),
        ("{{ tools.is_relation(ref('a')) }}{{ tools.is_relation('a') }}", "TrueFalse"),
        ("{{ tools.star(ref('customers'), except=['ID'], prefix='c_') }}", "c_\"name\", c_\"debt\""),
        (
            "{{ tools.union([ref('customers'), ref('names')]) | trim }}",
            "select id, name, debt from \"lake\".\"customers\" union all select null, name, null from \"lake\".\"names\"",
        ),
        ("{{ tools.values_of(ref('names'), 'name') }}", "[1, 2]"),
        ("{{ tools.powers(9) }}{{ tools.slug('1 Big-One') }} {{ tools.group_by(3) }}", "4_1_big_one group by 1,2,3"),
    ] {
        let rendered = with_request(&EXECUTE, text, |request| jinja.render(request)).expect(text);
        assert_eq!(rendered.text, expected, "{text}");
    }
}
