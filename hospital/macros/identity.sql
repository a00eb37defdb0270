{#- How names and numbers of people are compared. Wardlake has functions for it; DuckDB says the same in its own. -#}

{#- A name as it compares: lower case, no accents, no apostrophes and dots, other punctuation as one space. -#}
{% macro normalise_name(column) -%}
    {{ return(adapter.dispatch('normalise_name', 'hospital')(column)) }}
{%- endmacro %}

{% macro default__normalise_name(column) -%}
    normalise_name({{ column }})
{%- endmacro %}

{% macro duckdb__normalise_name(column) -%}
    nullif(trim(regexp_replace(
            regexp_replace(
                replace(replace(lower(strip_accents({{ column }})), 'ß', 'ss'), 'ø', 'o'), '[''’‘`´.]', '', 'g'
            ),
            '[^\p{L}\p{N}]+', ' ', 'g'
        )), '')
{%- endmacro %}

{#- A phone number with country code, from the many ways to write it. -#}
{% macro normalise_phone(column, country_code) -%}
    {{ return(adapter.dispatch('normalise_phone', 'hospital')(column, country_code)) }}
{%- endmacro %}

{% macro default__normalise_phone(column, country_code) -%}
    normalise_phone({{ column }}, '{{ country_code }}')
{%- endmacro %}

{#- Staging has left digits and plus only. -#}
{% macro duckdb__normalise_phone(column, country_code) -%}
    case
            when length(regexp_replace({{ column }}, '[^0-9]', '', 'g')) not between 7 and 15 then null
            when {{ column }} like '+%' then {{ column }}
            when {{ column }} like '00%' then '+' || substr({{ column }}, 3)
            {%- if country_code == '1' %}
            when length({{ column }}) = 11 and {{ column }} like '1%' then '+' || {{ column }}
            {%- endif %}
            else '+{{ country_code }}' || ltrim({{ column }}, '0')
        end
{%- endmacro %}

{#- How alike two texts are, 0 to 1 (Winkler 1990). -#}
{% macro jaro_winkler(one, other) -%}
    {{ return(adapter.dispatch('jaro_winkler', 'hospital')(one, other)) }}
{%- endmacro %}

{% macro default__jaro_winkler(one, other) -%}
    jaro_winkler({{ one }}, {{ other }})
{%- endmacro %}

{% macro duckdb__jaro_winkler(one, other) -%}
    jaro_winkler_similarity({{ one }}, {{ other }})
{%- endmacro %}

{#- The American Soundex code of a normalised name (US National Archives). -#}
{% macro soundex(column) -%}
    {{ return(adapter.dispatch('soundex', 'hospital')(column)) }}
{%- endmacro %}

{% macro default__soundex(column) -%}
    soundex({{ column }})
{%- endmacro %}

{#- DuckDB has none: letters become codes, H and W vanish behind the first letter, runs become one, vowels go. -#}
{% macro duckdb__soundex(column) -%}
    {%- set letters = "upper(regexp_replace(" ~ column ~ ", '[^A-Za-z]', '', 'g'))" -%}
    {%- set codes = "translate(substr(" ~ letters ~ ", 1, 1) || regexp_replace(substr(" ~ letters
        ~ ", 2), '[HW]', '', 'g'), 'BFPVCGJKQSXZDTLMNRAEIOUYHW', '11112222222233455600000000')" -%}
    {%- set ns = namespace(runs=codes) -%}
    {%- for code in range(1, 7) -%}
        {%- set ns.runs = "regexp_replace(" ~ ns.runs ~ ", '" ~ code ~ "+', '" ~ code ~ "', 'g')" -%}
    {%- endfor -%}
    case
            when {{ letters }} = '' then ''
            else rpad(substr({{ letters }}, 1, 1) || substr(replace(substr({{ ns.runs }}, 2), '0', ''), 1, 3), 4, '0')
        end
{%- endmacro %}
