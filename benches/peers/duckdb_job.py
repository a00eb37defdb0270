"""The main job in DuckDB: `duckdb_job.py LANDING OUT`. Every layer is written as Parquet and read back by the next."""

import pathlib
import sys

import duckdb

FIELDS = "event_id, patient_id, gender, age, department_id, hospital_id, bed_id, admission_time, discharge_time"

INT_EVENTS = """
with events as (
    select
        event_id, patient_id,
        case when lower(trim(gender)) in ('f', 'female') then 'Female' when lower(trim(gender)) in ('m', 'male') then 'Male' end as gender,
        try_cast(age as integer) as age, department_id,
        try_cast(hospital_id as integer) as hospital_id, try_cast(bed_id as integer) as bed_id,
        try_cast(admission_time as timestamp) as admission_at, try_cast(discharge_time as timestamp) as discharge_at,
        age as raw_age, admission_time as raw_admission_time
    from (select distinct on (event_id) * from bronze_events)
)
select
    events.*,
    concat(
        case when patient_id is null then 'patient_missing,' end,
        case when age is null or age not between 0 and 120 then 'age_invalid,' end,
        case when known.department_id is null then 'department_unknown,' end,
        case when admission_at is null then 'admission_invalid,' end,
        case when discharge_at < admission_at then 'discharge_before_admission,' end
    ) as reasons
from events
left join (select hospital_id, department_id from dim_department where is_current) as known using (hospital_id, department_id)
"""

FACTS = """
select
    e.event_id, p.patient_sk, d.department_sk, e.hospital_id, e.department_id, e.bed_id, e.gender, e.age, e.admission_at, e.discharge_at,
    cast(e.admission_at as date) as admission_date,
    epoch_ms(e.discharge_at - e.admission_at) / 3600000.0 as length_of_stay_hours,
    e.discharge_at is null as is_currently_admitted
from silver_events as e
join dim_patient as p
    on e.patient_id = p.patient_id
    and cast(e.admission_at as date) >= p.valid_from and (p.valid_to is null or cast(e.admission_at as date) < p.valid_to)
join dim_department as d
    on e.hospital_id = d.hospital_id and e.department_id = d.department_id
    and cast(e.admission_at as date) >= d.valid_from and (d.valid_to is null or cast(e.admission_at as date) < d.valid_to)
"""

KPIS = {
    "kpi_department_daily": """
        select hospital_id, department_id, admission_date, count(*) as admissions, count(length_of_stay_hours) as discharges,
            avg(length_of_stay_hours) as average_los_hours, count(*) filter (where length_of_stay_hours > 50) as overstays
        from fct_patient_flow group by all""",
    "kpi_occupancy": """
        select d.hospital_id, d.department_id, d.staffed_beds, coalesce(occupied, 0) as occupied,
            100.0 * coalesce(occupied, 0) / d.staffed_beds as occupancy_pct
        from dim_department as d
        left join (
            select hospital_id, department_id, count(*) as occupied from fct_patient_flow where is_currently_admitted group by all
        ) as inside using (hospital_id, department_id)
        where d.is_current""",
    "kpi_people": """
        select gender, age // 20 * 20 as age_from, count(*) as stays, avg(length_of_stay_hours) as average_los_hours,
            max(length_of_stay_hours) as longest_los_hours
        from fct_patient_flow group by all""",
    "kpi_quality": "select reasons, count(*) as events from quarantine_events group by all",
}


def scd2(source: str, keys: str, values: str, surrogate: str, types: str = "") -> str:
    """One row per key and unbroken span of equal values."""
    return f"""
        with rows as (
            select {keys}, {values}, cast(regexp_extract(_file, '(\\d{{4}}-\\d{{2}}-\\d{{2}})\\.csv$', 1) as date) as valid_from
            from {source}
        ), versions as (
            select * from rows
            qualify row({values}) is distinct from lag(row({values})) over (partition by {keys} order by valid_from)
        ), spans as (
            select *, lead(valid_from) over (partition by {keys} order by valid_from) as valid_to from versions
        )
        select row_number() over (order by {keys}, valid_from) as {surrogate}, * {types}, valid_to is null as is_current from spans"""


def main(landing: pathlib.Path, out: pathlib.Path) -> None:
    connection = duckdb.connect()
    connection.execute("set preserve_insertion_order = false")
    connection.execute(f"set temp_directory = '{out}/spill'")

    def write(name: str, query: str) -> None:
        connection.execute(f"copy ({query}) to '{out}/{name}.parquet' (format parquet)")
        connection.execute(f"create view {name} as select * from read_parquet('{out}/{name}.parquet')")

    columns = ", ".join(f"{name}: 'VARCHAR'" for name in FIELDS.split(", "))
    events = f"read_ndjson('{landing}/events/*.ndjson', columns = {{{columns}}}, ignore_errors = true, filename = '_file')"
    write("bronze_events", f"select * from {events} where event_id is not null")
    lines = f"read_csv('{landing}/events/*.ndjson', columns = {{line: 'VARCHAR'}}, header = false, delim = '\\x01', quote = '', escape = '')"
    write("rejected_lines", f"select * from {lines} where not ends_with(line, '}}')")
    for kind in ("patients", "departments"):
        write(f"bronze_{kind}", f"select * from read_csv('{landing}/{kind}/*.csv', all_varchar = true, header = true, filename = '_file')")

    patient = "first_name, last_name, birth_date, gender, city, insurer"
    typed = "replace (try_cast(birth_date as date) as birth_date)"
    write("dim_patient", scd2("bronze_patients", "patient_id", patient, "patient_sk", typed))
    typed = "replace (cast(hospital_id as integer) as hospital_id, cast(staffed_beds as integer) as staffed_beds, cast(floor as integer) as floor)"
    write("dim_department", scd2("bronze_departments", "hospital_id, department_id", "department_name, staffed_beds, floor", "department_sk", typed))

    write("int_events", INT_EVENTS)
    write("silver_events", "select * exclude (reasons) from int_events where reasons = ''")
    write("quarantine_events", "select * from int_events where reasons <> ''")
    write("fct_patient_flow", FACTS)
    for name, query in KPIS.items():
        write(name, query)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
