{#- Layers are schemas of the lake (silver, gold), whatever the target: an environment is a chain of epochs, not a prefix. -#}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ custom_schema_name | trim if custom_schema_name else target.schema }}
{%- endmacro %}
