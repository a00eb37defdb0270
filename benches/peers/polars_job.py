"""The main job in Polars: `polars_job.py LANDING OUT`. Every layer is written as Parquet and read back by the next."""

import pathlib
import sys

import polars as pl

EVENT_COLUMNS = [
    "event_id", "patient_id", "gender", "age", "department_id", "hospital_id", "bed_id", "admission_time", "discharge_time",
]


def main(landing: pathlib.Path, out: pathlib.Path) -> None:
    table = lambda name: pl.scan_parquet(out / f"{name}.parquet")
    write = lambda name, frame: frame.sink_parquet(out / f"{name}.parquet")

    # One broken line stops Polars' JSON reader, so lines are read first and those that do not end are set aside.
    lines = pl.scan_lines(landing / "events" / "*.ndjson", include_file_paths="_file")
    is_whole = pl.col("line").str.ends_with("}")
    fields = pl.col("line").str.json_decode(pl.Struct({name: pl.String for name in EVENT_COLUMNS})).alias("event")
    write("bronze_events", lines.filter(is_whole).select(fields, "_file").unnest("event"))
    write("rejected_lines", lines.filter(~is_whole))
    for kind in ("patients", "departments"):
        rows = pl.scan_csv(landing / kind / "*.csv", infer_schema=False, include_file_paths="_file")
        write(f"bronze_{kind}", rows)

    write("dim_patient", scd2(
        table("bronze_patients"), ["patient_id"], ["first_name", "last_name", "birth_date", "gender", "city", "insurer"], "patient_sk",
    ).with_columns(pl.col("birth_date").str.to_date(strict=False)))
    departments = table("bronze_departments").with_columns(
        pl.col("hospital_id", "staffed_beds", "floor").cast(pl.Int32, strict=False)
    )
    write("dim_department", scd2(
        departments, ["hospital_id", "department_id"], ["department_name", "staffed_beds", "floor"], "department_sk"
    ))

    write("int_events", checked(table("bronze_events"), table("dim_department")))
    is_broken = pl.col("reasons") != ""
    write("silver_events", table("int_events").filter(~is_broken).drop("reasons"))
    write("quarantine_events", table("int_events").filter(is_broken))

    write("fct_patient_flow", facts(table("silver_events"), table("dim_patient"), table("dim_department")))
    for name, frame in kpis(table("fct_patient_flow"), table("dim_department"), table("quarantine_events")).items():
        write(name, frame)


def scd2(rows: pl.LazyFrame, keys: list[str], values: list[str], surrogate: str) -> pl.LazyFrame:
    """One row per key and unbroken span of equal values."""
    day = pl.col("_file").str.extract(r"(\d{4}-\d{2}-\d{2})\.csv$").str.to_date().alias("valid_from")
    ordered = rows.select(*keys, *values, day).sort(*keys, "valid_from")
    contents = pl.struct(values)
    is_new = (contents != contents.shift(1).over(keys)) | (pl.int_range(pl.len()).over(keys) == 0)
    versions = ordered.filter(is_new)
    valid_to = pl.col("valid_from").shift(-1).over(keys).alias("valid_to")
    return versions.with_columns(valid_to).with_columns(pl.col("valid_to").is_null().alias("is_current")).with_row_index(surrogate, offset=1)


def checked(events: pl.LazyFrame, departments: pl.LazyFrame) -> pl.LazyFrame:
    """Typed and deduplicated events, each with the rules it breaks."""
    spelled = pl.col("gender").str.strip_chars().str.to_lowercase()
    is_time = lambda name: pl.col(name).str.to_datetime("%Y-%m-%dT%H:%M:%S%.3f", time_unit="us", strict=False)
    typed = events.unique("event_id", keep="any").select(
        "event_id", "patient_id",
        pl.when(spelled.is_in(["f", "female"])).then(pl.lit("Female")).when(spelled.is_in(["m", "male"])).then(pl.lit("Male")).alias("gender"),
        pl.col("age").cast(pl.Int32, strict=False),
        "department_id",
        pl.col("hospital_id", "bed_id").cast(pl.Int32, strict=False),
        is_time("admission_time").alias("admission_at"),
        is_time("discharge_time").alias("discharge_at"),
        pl.col("age").alias("raw_age"), pl.col("admission_time").alias("raw_admission_time"),
    )
    known = departments.filter("is_current").select("hospital_id", "department_id", pl.lit(True).alias("is_known"))
    rule = lambda name, broken: pl.when(broken.fill_null(True)).then(pl.lit(name)).otherwise(pl.lit(""))
    reasons = pl.concat_str(
        rule("patient_missing,", pl.col("patient_id").is_null()),
        rule("age_invalid,", ~pl.col("age").is_between(0, 120)),
        rule("department_unknown,", pl.col("is_known").is_null()),
        rule("admission_invalid,", pl.col("admission_at").is_null()),
        rule("discharge_before_admission,", (pl.col("discharge_at") < pl.col("admission_at")).fill_null(False)),
    ).alias("reasons")
    joined = typed.join(known, on=["hospital_id", "department_id"], how="left")
    return joined.with_columns(reasons).drop("is_known")


def facts(events: pl.LazyFrame, patients: pl.LazyFrame, departments: pl.LazyFrame) -> pl.LazyFrame:
    """Each stay with the versions of its patient and department on the day of admission."""
    hours = (pl.col("discharge_at") - pl.col("admission_at")).dt.total_milliseconds() / 3_600_000
    stays = events.with_columns(
        pl.col("admission_at").dt.date().alias("admission_date"),
        hours.alias("length_of_stay_hours"),
        pl.col("discharge_at").is_null().alias("is_currently_admitted"),
    )
    for dimension, keys, surrogate in (
        (patients, ["patient_id"], "patient_sk"), (departments, ["hospital_id", "department_id"], "department_sk"),
    ):
        versions = dimension.select(*keys, surrogate, "valid_from", "valid_to")
        on_that_day = (pl.col("admission_date") >= pl.col("valid_from")) & (
            pl.col("valid_to").is_null() | (pl.col("admission_date") < pl.col("valid_to"))
        )
        stays = stays.join(versions, on=keys, how="inner").filter(on_that_day).drop("valid_from", "valid_to")
    return stays.select(
        "event_id", "patient_sk", "department_sk", "hospital_id", "department_id", "bed_id", "gender", "age", "admission_at",
        "discharge_at", "admission_date", "length_of_stay_hours", "is_currently_admitted",
    )


def kpis(stays: pl.LazyFrame, departments: pl.LazyFrame, quarantine: pl.LazyFrame) -> dict[str, pl.LazyFrame]:
    department = ["hospital_id", "department_id"]
    los = pl.col("length_of_stay_hours")
    daily = stays.group_by(*department, "admission_date").agg(
        pl.len().alias("admissions"), los.count().alias("discharges"), los.mean().alias("average_los_hours"),
        (los > 50).sum().alias("overstays"),
    )
    inside = stays.filter("is_currently_admitted").group_by(department).agg(pl.len().alias("occupied"))
    beds = departments.filter("is_current").select(*department, "staffed_beds")
    occupancy = beds.join(inside, on=department, how="left").with_columns(
        pl.col("occupied").fill_null(0), (100 * pl.col("occupied").fill_null(0) / pl.col("staffed_beds")).alias("occupancy_pct")
    )
    band = pl.col("age") // 20 * 20
    people = stays.group_by("gender", band.alias("age_from")).agg(
        pl.len().alias("stays"), los.mean().alias("average_los_hours"), los.max().alias("longest_los_hours")
    )
    quality = quarantine.group_by("reasons").agg(pl.len().alias("events"))
    return {"kpi_department_daily": daily, "kpi_occupancy": occupancy, "kpi_people": people, "kpi_quality": quality}


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
