"""The main job in PySpark, local mode: `spark_job.py LANDING OUT`. Every layer is written as Parquet and read back by the next."""

import pathlib
import sys

from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as f
from pyspark.sql import types as t

EVENT_COLUMNS = [
    "event_id", "patient_id", "gender", "age", "department_id", "hospital_id", "bed_id", "admission_time", "discharge_time",
]


def main(landing: pathlib.Path, out: pathlib.Path) -> None:
    settings = {
        "spark.driver.memory": "6g", "spark.sql.shuffle.partitions": "8", "spark.ui.enabled": "false", "spark.sql.ansi.enabled": "false",
        "spark.sql.session.timeZone": "UTC", "spark.driver.host": "localhost", "spark.driver.bindAddress": "127.0.0.1",
        "spark.sql.legacy.timeParserPolicy": "CORRECTED", "spark.local.dir": str(out / "spill"),
    }
    builder = SparkSession.builder.master("local[*]").appName("wardlake-bench")
    for key, value in settings.items():
        builder = builder.config(key, value)
    spark = builder.getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")

    table = lambda name: spark.read.parquet(str(out / name))
    write = lambda name, frame: frame.write.mode("overwrite").parquet(str(out / name))

    schema = t.StructType([t.StructField(name, t.StringType()) for name in [*EVENT_COLUMNS, "_broken"]])
    events = spark.read.json(str(landing / "events"), schema=schema, columnNameOfCorruptRecord="_broken")
    events = events.withColumn("_file", f.input_file_name())
    write("bronze_events", events.filter("_broken is null").drop("_broken"))
    write("rejected_lines", events.filter("_broken is not null"))
    for kind in ("patients", "departments"):
        write(f"bronze_{kind}", spark.read.csv(str(landing / kind), header=True).withColumn("_file", f.input_file_name()))

    patients = table("bronze_patients").withColumn("birth_date", f.expr("try_cast(birth_date as date)"))
    values = ["first_name", "last_name", "birth_date", "gender", "city", "insurer"]
    write("dim_patient", scd2(patients, ["patient_id"], values, "patient_sk"))
    departments = table("bronze_departments")
    for name in ("hospital_id", "staffed_beds", "floor"):
        departments = departments.withColumn(name, f.col(name).cast("int"))
    write("dim_department", scd2(departments, ["hospital_id", "department_id"], ["department_name", "staffed_beds", "floor"], "department_sk"))

    write("int_events", checked(table("bronze_events"), table("dim_department")))
    write("silver_events", table("int_events").filter("reasons = ''").drop("reasons"))
    write("quarantine_events", table("int_events").filter("reasons <> ''"))
    write("fct_patient_flow", facts(table("silver_events"), table("dim_patient"), table("dim_department")))
    for name, frame in kpis(table("fct_patient_flow"), table("dim_department"), table("quarantine_events")).items():
        write(name, frame)
    spark.stop()


def scd2(rows: DataFrame, keys: list[str], values: list[str], surrogate: str) -> DataFrame:
    """One row per key and unbroken span of equal values."""
    by_key = Window.partitionBy(*keys).orderBy("valid_from")
    day = f.to_date(f.regexp_extract("_file", r"(\d{4}-\d{2}-\d{2})\.csv$", 1)).alias("valid_from")
    contents = f.struct(*values)
    rows = rows.select(*keys, *values, day)
    is_new = (f.row_number().over(by_key) == 1) | ~contents.eqNullSafe(f.lag(contents).over(by_key))
    versions = rows.withColumn("is_new", is_new).filter("is_new").drop("is_new")
    spans = versions.withColumn("valid_to", f.lead("valid_from").over(by_key))
    number = f.row_number().over(Window.orderBy(*keys, "valid_from"))
    return spans.withColumn("is_current", f.col("valid_to").isNull()).withColumn(surrogate, number)


def checked(events: DataFrame, departments: DataFrame) -> DataFrame:
    """Typed and deduplicated events, each with the rules it breaks."""
    spelled = f.lower(f.trim("gender"))
    typed = events.dropDuplicates(["event_id"]).select(
        "event_id", "patient_id",
        f.when(spelled.isin("f", "female"), "Female").when(spelled.isin("m", "male"), "Male").alias("gender"),
        f.expr("try_cast(age as int)").alias("age"), "department_id",
        f.expr("try_cast(hospital_id as int)").alias("hospital_id"), f.expr("try_cast(bed_id as int)").alias("bed_id"),
        f.expr("try_cast(admission_time as timestamp)").alias("admission_at"),
        f.expr("try_cast(discharge_time as timestamp)").alias("discharge_at"),
        f.col("age").alias("raw_age"), f.col("admission_time").alias("raw_admission_time"),
    )
    known = departments.filter("is_current").select("hospital_id", "department_id", f.lit(True).alias("is_known"))
    rule = lambda name, broken: f.when(f.expr(broken), name).otherwise("")
    reasons = f.concat(
        rule("patient_missing,", "patient_id is null"),
        rule("age_invalid,", "age is null or age not between 0 and 120"),
        rule("department_unknown,", "is_known is null"),
        rule("admission_invalid,", "admission_at is null"),
        rule("discharge_before_admission,", "discharge_at < admission_at"),
    )
    return typed.join(known, ["hospital_id", "department_id"], "left").withColumn("reasons", reasons).drop("is_known")


def facts(events: DataFrame, patients: DataFrame, departments: DataFrame) -> DataFrame:
    """Each stay with the versions of its patient and department on the day of admission."""
    stays = events.withColumn("admission_date", f.to_date("admission_at"))
    for dimension, keys, surrogate in (
        (patients, ["patient_id"], "patient_sk"), (departments, ["hospital_id", "department_id"], "department_sk"),
    ):
        versions = dimension.select(*keys, surrogate, "valid_from", "valid_to")
        on_that_day = "admission_date >= valid_from and (valid_to is null or admission_date < valid_to)"
        stays = stays.join(versions, keys).filter(on_that_day).drop("valid_from", "valid_to")
    hours = (f.expr("unix_millis(discharge_at) - unix_millis(admission_at)") / 3_600_000).alias("length_of_stay_hours")
    return stays.select(
        "event_id", "patient_sk", "department_sk", "hospital_id", "department_id", "bed_id", "gender", "age", "admission_at",
        "discharge_at", "admission_date", hours, f.col("discharge_at").isNull().alias("is_currently_admitted"),
    )


def kpis(stays: DataFrame, departments: DataFrame, quarantine: DataFrame) -> dict[str, DataFrame]:
    department = ["hospital_id", "department_id"]
    daily = stays.groupBy(*department, "admission_date").agg(
        f.count("*").alias("admissions"), f.count("length_of_stay_hours").alias("discharges"),
        f.avg("length_of_stay_hours").alias("average_los_hours"), f.expr("count_if(length_of_stay_hours > 50)").alias("overstays"),
    )
    inside = stays.filter("is_currently_admitted").groupBy(*department).agg(f.count("*").alias("occupied"))
    beds = departments.filter("is_current").select(*department, "staffed_beds")
    occupied = f.coalesce("occupied", f.lit(0))
    occupancy = beds.join(inside, department, "left").select(
        *department, "staffed_beds", occupied.alias("occupied"), (100.0 * occupied / f.col("staffed_beds")).alias("occupancy_pct")
    )
    people = stays.groupBy("gender", f.expr("age div 20 * 20").alias("age_from")).agg(
        f.count("*").alias("stays"), f.avg("length_of_stay_hours").alias("average_los_hours"),
        f.max("length_of_stay_hours").alias("longest_los_hours"),
    )
    quality = quarantine.groupBy("reasons").agg(f.count("*").alias("events"))
    return {"kpi_department_daily": daily, "kpi_occupancy": occupancy, "kpi_people": people, "kpi_quality": quality}


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
