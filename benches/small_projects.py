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


TYPED = """select
    event_id, patient_id, department_id,
    case when lower(trim(gender)) in ('f', 'female') then 'Female' when lower(trim(gender)) in ('m', 'male') then 'Male' end as gender,
    try_cast(age as integer) as age,
    try_cast(hospital_id as integer) as hospital_id,
    try_cast(bed_id as integer) as bed_id,
    try_cast(admission_time as timestamp) as admission_at,
    try_cast(discharge_time as timestamp) as discharge_at{hidden}
from {{{{ source('extracts', 'events') }}}}
"""

HIDDEN = """,
    age as _raw_age, hospital_id as _raw_hospital_id, bed_id as _raw_bed_id,
    _source as _raw__source, _file as _raw__file, _position as _raw__position, _batch_id as _raw__batch_id"""

# Thirty rules of every sort; about as many rows break them as the generator damages.
RULES = [
    "{not_null: [event_id, patient_id, department_id, hospital_id, bed_id, admission_at]}",
    "{not_null: [gender, discharge_at], action: warn}",
    "{typed: [age, hospital_id, bed_id]}",
    "{between: {column: age, min: 0, max: 120}}",
    "{between: {column: hospital_id, min: 1, max: 10000}}",
    "{between: {column: bed_id, min: 0, max: 1000000}}",
    "{between: {column: admission_at, min: '2000-01-01', max: '2100-01-01'}}",
    "{between: {column: discharge_at, min: '2000-01-01', max: '2100-01-01'}}",
    "{in: {column: gender, values: [Female, Male]}}",
    "{before: {column: admission_at, other: discharge_at}}",
    "{matches: {column: event_id, pattern: '^.+$'}}",
    "{matches: {column: patient_id, pattern: '^[A-Za-z0-9-]+$'}}",
    "{name: stay_is_short, that: \"discharge_at - admission_at < interval '400 days'\", action: warn}",
    "{name: bed_has_a_hospital, that: bed_id is null or hospital_id is not null}",
    "{name: event_names_its_patient, that: event_id <> patient_id}",
    "{name: event_id_is_short, that: length(event_id) <= 64}",
    "{name: patient_id_is_short, that: length(patient_id) <= 64}",
    "{name: department_is_short, that: length(department_id) <= 64}",
    "{name: department_is_trimmed, that: department_id = trim(department_id)}",
    "{name: patient_is_trimmed, that: patient_id = trim(patient_id)}",
    "{name: event_is_trimmed, that: event_id = trim(event_id)}",
    "{name: child_or_adult, that: age >= 0}",
]


def rules(folder: pathlib.Path) -> pathlib.Path:
    """The same model twice: `without` a rule, and `with_rules` with thirty."""
    listed = "".join(f"            - {rule}\n" for rule in RULES)
    declared = (
        "version: 2\nmodels:\n  - name: with_rules\n    config:\n      meta:\n        wardlake:\n"
        f"          input: source('extracts', 'events')\n          row_key: [event_id]\n          expectations:\n{listed}"
    )
    config = "{{ config(materialized='table') }}\n"
    return write(folder, "rules", {
        "sources/extracts.yml": SOURCE.format(path="events/*.ndjson", kind="ndjson"),
        "models/without.sql": config + TYPED.format(hidden=""),
        "models/with_rules.sql": config + TYPED.format(hidden=HIDDEN),
        "models/rules.yml": declared,
    })


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
