"""A hospital network's extracts, as large as asked for: `generate.py DIR --rows N --days D --seed S`.

    events/events_<date>.ndjson            patient-flow events, N in all, spread evenly over the days
    patients/patients_<date>.csv           the first day every patient, then those that are new or changed
    departments/departments_<date>.csv     every department, every day

The same arguments write the same bytes. The dirt has known shares (DIRT): lines cut short, events delivered twice, ages that
are no age, departments nobody knows, times that are none, discharges before the admission. Files are written in chunks, so that
memory does not grow with the number of events. `truth.json` holds what was written.
"""

import argparse
import datetime
import json
import pathlib
import shutil

import numpy
import polars

CHUNK = 250_000
HOSPITALS = 7
DEPARTMENTS = [
    "Emergency", "Surgery", "ICU", "Pediatrics", "Maternity", "Oncology", "Cardiology",
    "Neurology", "Orthopedics", "Psychiatry", "Geriatrics", "Urology",
]
FIRST_NAMES = ["Aisha", "Ben", "Chloé", "Dana", "Emre", "Farah", "Grace", "Hugo", "Ines", "Jonas", "Kemal", "Lena"]
LAST_NAMES = ["Abbott", "Becker", "Costa", "Dubois", "Evans", "Fischer", "García", "Hansen", "Ito", "Jansen", "Kaya"]
CITIES = ["Northfield", "Eastham", "Southport", "Westbrook", "Midvale"]
EVENT_FIELDS = [
    "event_id", "patient_id", "gender", "age", "department_id", "hospital_id", "bed_id", "admission_time", "discharge_time",
]
INSURERS = ["Public", "Basic", "Comprehensive", "Premium", ""]
START = datetime.date(2025, 1, 1)

# Share of events with each kind of dirt.
DIRT = {
    "cut_short": 0.001,
    "delivered_twice": 0.01,
    "no_patient": 0.002,
    "age": 0.01,
    "department": 0.005,
    "admission_time": 0.004,
    "discharge_first": 0.015,
    "gender_spelling": 0.05,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--also-csv", action="store_true", help="write the events' whole lines as CSV too, into events_csv/")
    args = parser.parse_args()
    generate(args)
    if args.also_csv and not (args.folder / "events_csv").is_dir():
        write_events_as_csv(args.folder)


def generate(args) -> None:
    """Writes nothing where the same arguments have written before."""
    settings = {"rows": args.rows, "days": args.days, "seed": args.seed, "dirt": DIRT, "layout": 1}
    truth_file = args.folder / "truth.json"
    if truth_file.is_file() and json.loads(truth_file.read_text())["settings"] == settings:
        return
    shutil.rmtree(args.folder, ignore_errors=True)
    for kind in ("events", "patients", "departments"):
        (args.folder / kind).mkdir(parents=True)
    random = numpy.random.default_rng(args.seed)
    patients = max(1_000, args.rows // 20)
    truth = {"settings": settings, "lines": 0, "bytes": 0, **dict.fromkeys(DIRT, 0)}
    write_departments(args.folder, args.days, random)
    write_patients(args.folder, args.days, patients, random)
    for day in range(args.days):
        write_events(args.folder, day, share(args.rows, args.days, day), patients, random, truth)
    truth["bytes"] = sum(file.stat().st_size for file in args.folder.rglob("*_*.*"))
    truth_file.write_text(json.dumps(truth, indent=2))


def share(rows: int, days: int, day: int) -> int:
    return rows * (day + 1) // days - rows * day // days


def date(day: int) -> str:
    return (START + datetime.timedelta(days=day)).isoformat()


def write_departments(folder: pathlib.Path, days: int, random) -> None:
    """Every day a department or two changes its beds or its floor."""
    count = HOSPITALS * len(DEPARTMENTS)
    beds, floor = random.integers(12, 60, count), random.integers(0, 9, count)
    for day in range(days):
        if day:
            changed = random.integers(0, count, 2)
            beds[changed[0]] += random.integers(1, 9)
            floor[changed[1]] = (floor[changed[1]] + 1) % 9
        with open(folder / "departments" / f"departments_{date(day)}.csv", "w", newline="") as file:
            file.write("hospital_id,department_id,department_name,staffed_beds,floor\n")
            for index in range(count):
                hospital, department = divmod(index, len(DEPARTMENTS))
                row = hospital + 1, f"D{department + 1:02}", DEPARTMENTS[department], beds[index], floor[index]
                file.write(",".join(map(str, row)) + "\n")


def write_patients(folder: pathlib.Path, days: int, count: int, random) -> None:
    """The first extract holds all patients; each later one the hundredth that moved or changed their insurer."""
    pick = lambda words, size: numpy.array(words)[random.integers(0, len(words), size)]
    first, last, born = pick(FIRST_NAMES, count), pick(LAST_NAMES, count), random.integers(-36_000, 19_000, count)
    gender, city, insurer = pick(["Male", "Female"], count), pick(CITIES, count), pick(INSURERS, count)
    for day in range(days):
        listed = numpy.arange(count)
        if day:
            listed = numpy.sort(random.choice(count, max(1, count // 100), replace=False))
            city[listed] = pick(CITIES, len(listed))
            insurer[listed] = pick(INSURERS, len(listed))
        frame = polars.DataFrame({
            "patient_id": polars.Series(listed).cast(polars.String).str.zfill(8),
            "first_name": first[listed],
            "last_name": last[listed],
            "birth_date": polars.Series(born[listed]).cast(polars.Int32).cast(polars.Date),
            "gender": gender[listed],
            "city": city[listed],
            "insurer": insurer[listed],
        }).with_columns(("P" + polars.col("patient_id")).alias("patient_id"))
        # A comma within quotes, as real names have.
        frame = frame.with_columns(polars.col("last_name") + ", " + polars.col("first_name").str.slice(0, 1))
        frame.write_csv(folder / "patients" / f"patients_{date(day)}.csv")


def write_events(folder: pathlib.Path, day: int, rows: int, patients: int, random, truth: dict) -> None:
    with open(folder / "events" / f"events_{date(day)}.ndjson", "wb") as file:
        for start in range(0, rows, CHUNK):
            lines = event_lines(day, min(CHUNK, rows - start), patients, random, truth)
            truth["lines"] += len(lines)
            file.write(("\n".join(lines) + "\n").encode())


def write_events_as_csv(folder: pathlib.Path) -> None:
    unfinished = folder / "events_csv.part"
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    for file in sorted((folder / "events").iterdir()):
        whole = polars.scan_lines(file).filter(polars.col("line").str.ends_with("}"))
        event = polars.Struct({name: polars.String for name in EVENT_FIELDS})
        frame = whole.select(polars.col("line").str.json_decode(event)).unnest("line").collect()
        frame.write_csv(unfinished / f"{file.stem}.csv")
    unfinished.rename(folder / "events_csv")


def event_lines(day: int, rows: int, patients: int, random, truth: dict) -> list[str]:
    def dirty(kind: str):
        chosen = random.random(rows) < DIRT[kind]
        truth[kind] += int(chosen.sum())
        return chosen

    first_id = truth["lines"] + day * 1_000_000_000
    admitted = random.integers(0, 86_400_000, rows)
    hours = random.exponential(36, rows)
    stay = numpy.where(random.random(rows) < 0.08, -1, (hours * 3_600_000).astype("int64"))
    midnight = datetime.datetime.combine(START + datetime.timedelta(days=day), datetime.time())
    female = random.random(rows) < 0.5
    frame = polars.DataFrame({
        "number": numpy.arange(first_id, first_id + rows),
        "patient": random.integers(0, patients, rows),
        "female": female,
        "age": random.integers(0, 101, rows),
        "department": random.integers(1, len(DEPARTMENTS) + 1, rows),
        "hospital": random.integers(1, HOSPITALS + 1, rows),
        "bed": random.integers(1, 501, rows),
        "admitted": admitted,
        "stay": stay,
        "no_patient": dirty("no_patient"),
        "bad_age": dirty("age"),
        "age_kind": random.integers(0, 3, rows),
        "bad_department": dirty("department"),
        "bad_admission": dirty("admission_time"),
        "backwards": dirty("discharge_first"),
        "spelled": dirty("gender_spelling"),
    })
    col, lit, when = polars.col, polars.lit, polars.when
    admission = lit(midnight) + polars.duration(milliseconds=col("admitted"))
    stay_ms = when(col("backwards")).then(-1 - col("admitted") % 7_200_000).otherwise(col("stay"))
    stamp = "%Y-%m-%dT%H:%M:%S%.3f"
    gender = when(col("female")).then(lit("Female")).otherwise(lit("Male"))
    spelled = when(col("female")).then(lit("f")).otherwise(lit(" MALE"))
    odd_age = when(col("age_kind") == 0).then(lit("-3")).when(col("age_kind") == 1).then(lit("212")).otherwise(lit('"unknown"'))
    has_left = (col("stay") >= 0) | col("backwards")
    discharge = (admission + polars.duration(milliseconds=stay_ms)).dt.strftime(stamp)
    line = polars.concat_str(
        lit('{"event_id":"E'), col("number").cast(polars.String),
        lit('","patient_id":'),
        when(col("no_patient")).then(lit("null")).otherwise('"P' + col("patient").cast(polars.String).str.zfill(8) + '"'),
        lit(',"gender":"'), when(col("spelled")).then(spelled).otherwise(gender),
        lit('","age":'), when(col("bad_age")).then(odd_age).otherwise(col("age").cast(polars.String)),
        lit(',"department_id":"D'),
        when(col("bad_department")).then(lit("99")).otherwise(col("department").cast(polars.String).str.zfill(2)),
        lit('","hospital_id":'), col("hospital").cast(polars.String),
        lit(',"bed_id":'), col("bed").cast(polars.String),
        lit(',"admission_time":"'),
        when(col("bad_admission")).then(lit("soon")).otherwise(admission.dt.strftime(stamp)),
        lit('","discharge_time":'), when(has_left).then('"' + discharge + '"').otherwise(lit("null")),
        lit("}"),
    )
    lines = frame.select(line.alias("line"))["line"].to_list()
    # A repeated delivery is the same line once more, later in the file; a line cut short was never closed.
    again = [lines[index] for index in numpy.flatnonzero(dirty("delivered_twice"))]
    for index in numpy.flatnonzero(dirty("cut_short")):
        lines[index] = lines[index][:60]
    return lines + again


if __name__ == "__main__":
    main()
