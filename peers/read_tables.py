"""Reads Delta tables of a lake with other engines: `read_tables.py LAKE schema.table… [--export DIR]`.

Prints, as JSON, per table and engine the columns, the row count and a digest of the rows that does not depend on their order.
With `--export`, Wardlake's own reading (`DIR/<schema>.<table>.parquet`) is one more engine. Exit code 1 when two engines differ.
"""

import argparse
import json
import sys

import tables


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lake")
    parser.add_argument("tables", nargs="+", metavar="schema.table")
    parser.add_argument("--export", metavar="DIR")
    args = parser.parse_args()

    report, differing = {}, []
    for table in args.tables:
        readings = {name: read(args.lake, table) for name, read in tables.READERS.items()}
        if own := tables.exported(args.export, table):
            readings["wardlake"] = tables.from_parquet(own)
        summary = {name: summarize(reading) for name, reading in readings.items()}
        report[table] = summary
        first = next(iter(summary.values()))
        if any(other != first for other in summary.values()):
            differing.append(table)
    print(json.dumps({"tables": report, "differing": differing}, indent=2))
    return 1 if differing else 0


def summarize(table) -> dict:
    return {"columns": table.column_names, "rows": table.num_rows, "digest": tables.digest(table)}


if __name__ == "__main__":
    sys.exit(main())
