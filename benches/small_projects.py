"""The projects of the small benches, written where they are asked for."""

import pathlib

PROJECT = """name: {name}
version: "1.0.0"
config-version: 2
profile: {name}
model-paths: ["models", "sources"]
"""

SOURCE = """version: 2
sources:
  - name: extracts
    schema: bronze
    config:
      meta:
        wardlake: {{connector: files, root: "{{{{ env_var('WARDLAKE_LANDING') }}}}"}}
    tables:
      - name: events
        config:
          meta:
            wardlake: {{path: "{path}", format: {{type: {kind}}}, change: append}}
"""


def ingest(folder: pathlib.Path, kind: str) -> pathlib.Path:
    """One source and no model: `events` as NDJSON or CSV."""
    path = {"ndjson": "events/*.ndjson", "csv": "events_csv/*.csv"}[kind]
    return write(folder, "ingest", {"sources/extracts.yml": SOURCE.format(path=path, kind=kind)})


def tree(folder: pathlib.Path, models: int) -> pathlib.Path:
    """`models` models in layers of ten, each reading two of the layer before it; every second one is tested and documented."""
    files = {"sources/extracts.yml": SOURCE.format(path="departments/*.csv", kind="csv")}
    for number in range(models):
        files[f"models/layer_{number // 10:04}/model_{number:05}.sql"] = model(number)
        if number % 10 == 0:
            entries = "".join(documented(tested) for tested in range(number, min(number + 10, models), 2))
            files[f"models/layer_{number // 10:04}/layer.yml"] = f"version: 2\nmodels:\n{entries}"
    return write(folder, "tree", files)


def model(number: int) -> str:
    config = "{{ config(materialized='table', tags=['layer_" + str(number // 10) + "']) }}\n"
    if number < 10:
        return config + "select hospital_id, department_id, try_cast(staffed_beds as integer) as beds from {{ source('extracts', 'events') }}\n"
    first, second = number - 10, number // 10 * 10 - 1
    return (
        config
        + f"with first_parent as (select * from {{{{ ref('model_{first:05}') }}}}),\n"
        + f"second_parent as (select distinct hospital_id from {{{{ ref('model_{second:05}') }}}})\n"
        + "select first_parent.hospital_id, first_parent.department_id, first_parent.beds\n"
        + "from first_parent\njoin second_parent on first_parent.hospital_id = second_parent.hospital_id\n"
    )


def documented(number: int) -> str:
    return (
        f"  - name: model_{number:05}\n    description: Model {number}.\n    columns:\n"
        "      - name: hospital_id\n        description: The hospital.\n        data_tests: [not_null]\n"
    )


def write(folder: pathlib.Path, name: str, files: dict[str, str]) -> pathlib.Path:
    for path, text in {"dbt_project.yml": PROJECT.format(name=name), **files}.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return folder
