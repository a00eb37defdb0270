"""Builds a project with dbt-duckdb from the same bronze tables and compares every model with Wardlake's.

`dbt_compare.py PROJECT LAKE [--export DIR] [--schema NAME] [--vars YAML] [--exclude MODEL]… [--run-results FILE]`

The sources that the project declares are loaded from the lake into a DuckDB file, `dbt build` runs on it, and each model and
seed is compared by name: columns, number of rows, and values in any order, numbers within 1e-9. Wardlake's side is the Delta table
in the lake, or `DIR/<schema>.<model>.parquet` where there is one (a view is no Delta table). With Wardlake's run_results.json,
each test's number of failing rows is compared too. Prints JSON; exit code 1 on any difference.
"""

import argparse
import datetime
import decimal
import json
import math
import pathlib
import sys
import tempfile

import duckdb

import dbt_cli
import tables

SHOWN = 5


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("project")
    parser.add_argument("lake")
    parser.add_argument("--export", metavar="DIR")
    parser.add_argument("--schema", default="main", help="the target's schema, as Wardlake has it (default: main)")
    parser.add_argument("--vars", metavar="YAML")
    parser.add_argument("--exclude", action="append", default=[], metavar="MODEL")
    parser.add_argument("--run-results", metavar="FILE")
    args = parser.parse_args()

    with tempfile.TemporaryDirectory() as work:
        report = compare(args, dbt_cli.Dbt(args.project, work, args.schema))
    print(json.dumps(report, indent=2, default=str))
    return 1 if report["differences"] else 0


def compare(args, dbt: dbt_cli.Dbt) -> dict:
    parsed = dbt.run("parse", variables=args.vars)
    if parsed.returncode != 0:
        return {"differences": {"dbt parse": dbt_cli.complaint(parsed)}}
    loaded, missing = load_sources(args.lake, dbt)
    if missing:
        return {"differences": {"sources missing in the lake": missing}}
    built = dbt.run("build", variables=args.vars)
    results = dbt.artifact("run_results.json")["results"] if (dbt.target / "run_results.json").is_file() else []
    # A failed test is a finding about the data, which both sides must make alike; a failed model is dbt's own failure.
    broken = [result["unique_id"] for result in results if result["status"] in ("error", "skipped")]
    if not results or broken:
        return {"differences": {"dbt build": dbt_cli.complaint(built), "broken": broken}}

    nodes = [node for node in dbt.artifact("manifest.json")["nodes"].values() if is_compared(node, args.exclude)]
    compared, differences = {}, {}
    with duckdb.connect(str(dbt.database), read_only=True) as connection:
        for node in nodes:
            table = f"{node['schema']}.{node['alias']}"
            theirs = read_duckdb(connection, table)
            problem = difference(theirs, read_wardlake(args, table))
            compared[table] = theirs.num_rows
            if problem:
                differences[table] = problem
    report = {"sources": loaded, "compared": compared, "differences": differences}
    if args.run_results:
        compare_tests(results, json.loads(pathlib.Path(args.run_results).read_text())["results"], report)
    return report


def is_compared(node: dict, excluded: list[str]) -> bool:
    is_table = node["resource_type"] in ("model", "seed") and node["config"]["materialized"] != "ephemeral"
    return is_table and node["name"] not in excluded


def load_sources(lake: str, dbt: dbt_cli.Dbt) -> tuple[dict, list]:
    """Bronze into DuckDB, under the names by which the project's `source()` finds it."""
    loaded, missing = {}, []
    with duckdb.connect(str(dbt.database)) as connection:
        for source in dbt.artifact("manifest.json")["sources"].values():
            table = f"{source['schema']}.{source['identifier']}"
            if not tables.is_delta(lake, table):
                missing.append(table)
                continue
            rows = tables.with_deltalake(lake, table)
            # With the catalog: a schema may be called like one of DuckDB's own catalogs, as `system` is.
            schema = f'"{dbt.database.stem}"."{source["schema"]}"'
            connection.execute(f"create schema if not exists {schema}")
            connection.register("arriving", rows)
            connection.execute(f'create table {schema}."{source["identifier"]}" as select * from arriving')
            connection.unregister("arriving")
            loaded[table] = rows.num_rows
    return loaded, missing


def read_duckdb(connection, table: str):
    schema, _, name = table.partition(".")
    return connection.sql(f'select * from "{schema}"."{name}"').to_arrow_table()


def read_wardlake(args, table: str):
    if own := tables.exported(args.export, table):
        return tables.from_parquet(own)
    return tables.with_deltalake(args.lake, table) if tables.is_delta(args.lake, table) else None


def difference(theirs, ours) -> dict | None:
    if ours is None:
        return {"missing": "neither a Delta table in the lake nor an exported Parquet file"}
    if theirs.column_names != ours.column_names:
        return {"columns": {"dbt": theirs.column_names, "wardlake": ours.column_names}}
    if theirs.num_rows != ours.num_rows:
        return {"rows": {"dbt": theirs.num_rows, "wardlake": ours.num_rows}}
    left, right = (sorted(tables.rows(side), key=sort_key) for side in (theirs, ours))
    unequal = [
        {"column": theirs.column_names[index], "dbt": mine, "wardlake": other}
        for pair in zip(left, right)
        for index, (mine, other) in enumerate(zip(*pair))
        if not is_equal(mine, other)
    ]
    return {"values": len(unequal), "first": unequal[:SHOWN]} if unequal else None


def sort_key(row: tuple) -> tuple:
    """Numbers are rounded, so that two that count as equal stand in the same place on both sides."""
    return tuple(f"{float(value):.6e}" if is_number(value) else tables.text(value) for value in row)


def is_number(value) -> bool:
    return isinstance(value, (int, float, decimal.Decimal)) and not isinstance(value, bool)


def is_equal(mine, other) -> bool:
    if is_number(mine) and is_number(other):
        both_nan = math.isnan(mine) and math.isnan(other)
        return mine == other or both_nan or math.isclose(float(mine), float(other), rel_tol=1e-9, abs_tol=1e-9)
    if isinstance(mine, datetime.datetime) != isinstance(other, datetime.datetime):
        return False
    return mine == other


def compare_tests(theirs: list, ours: list, report: dict) -> None:
    """By the test's name without the hash at its end, which the two may compute differently."""
    name = lambda result: result["unique_id"].split(".")[2]
    left, right = ({name(r): r for r in side if r["unique_id"].startswith("test.")} for side in (theirs, ours))
    report["tests"] = len(left)
    for test in sorted(left.keys() | right.keys()):
        sides = {"dbt": left.get(test), "wardlake": right.get(test)}
        found = {side: result and {"status": result["status"], "failures": result["failures"]} for side, result in sides.items()}
        if found["dbt"] != found["wardlake"]:
            report["differences"][f"test {test}"] = found


if __name__ == "__main__":
    sys.exit(main())
