"""What a job's output says, as numbers: two engines that did the same work print the same.

`figures.py OUT` prints them as JSON for a peer's Parquet files; `run.py` asks `wardlake sql` the same questions.
"""

import json
import pathlib
import sys

# The name in braces is the table; every query is one row of numbers that any engine here can compute.
QUERIES = {
    "bronze_events": "select count(*) as n from {bronze_events}",
    "rejected_lines": "select count(*) as n from {rejected_lines}",
    "dim_patient": "select count(*) as n, sum(case when is_current then 1 else 0 end) as current_rows from {dim_patient}",
    "dim_department": "select count(*) as n, sum(case when is_current then staffed_beds else 0 end) as beds from {dim_department}",
    "silver_events": "select count(*) as n, sum(age) as ages from {silver_events}",
    "quarantine_events": "select count(*) as n from {quarantine_events}",
    "fct_patient_flow": "select count(*) as n, sum(length_of_stay_hours) as hours, sum(patient_sk) as patients,"
    " sum(department_sk) as departments from {fct_patient_flow}",
    "kpi_department_daily": "select count(*) as n, sum(admissions) as admissions, sum(discharges) as discharges,"
    " sum(overstays) as overstays, sum(average_los_hours) as average_los from {kpi_department_daily}",
    "kpi_occupancy": "select count(*) as n, sum(occupied) as occupied, sum(occupancy_pct) as occupancy from {kpi_occupancy}",
    "kpi_people": "select count(*) as n, sum(age_from) as ages, sum(stays) as stays, sum(average_los_hours) as average_los,"
    " max(longest_los_hours) as longest from {kpi_people}",
    "kpi_quality": "select count(*) as n, sum(events) as events from {kpi_quality}",
}

# Where Wardlake has them.
WARDLAKE_TABLES = {"bronze_events": "bronze.events", "rejected_lines": "system.rejected_rows"}


def wardlake_query(table: str) -> str:
    return QUERIES[table].format(**{table: WARDLAKE_TABLES.get(table, f"main.{table}")})


def differences(mine: dict, other: dict) -> list[str]:
    """The figures that two engines disagree on, by more than a rounding."""
    return [
        f"{table}: {mine[table]} and {other[table]}"
        for table in QUERIES
        if len(mine[table]) != len(other[table])
        or any(abs(left - right) > 1e-6 * max(1.0, abs(left)) for left, right in zip(mine[table], other[table]))
    ]


def of_parquet(out: pathlib.Path) -> dict:
    import duckdb

    figures = {}
    for table, query in QUERIES.items():
        path = out / table if (out / table).is_dir() else out / f"{table}.parquet"
        files = f"{path}/*.parquet" if path.is_dir() else path
        row = duckdb.sql(query.format(**{table: f"read_parquet('{files}')"})).fetchall()[0]
        figures[table] = [float(value) for value in row]
    return figures


if __name__ == "__main__":
    print(json.dumps(of_parquet(pathlib.Path(sys.argv[1]))))
