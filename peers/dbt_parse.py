"""Lets dbt read projects, every warning an error: `dbt_parse.py PROJECT…`. Prints JSON; exit code 1 if dbt complained of one."""

import argparse
import json
import sys
import tempfile

import dbt_cli


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("projects", nargs="+", metavar="PROJECT")
    args = parser.parse_args()

    report = {project: parse(project) for project in args.projects}
    print(json.dumps(report, indent=2))
    return 0 if all(entry["ok"] for entry in report.values()) else 1


def parse(project: str) -> dict:
    with tempfile.TemporaryDirectory() as work:
        dbt = dbt_cli.Dbt(project, work)
        finished = dbt.run("parse", "--show-all-deprecations", "--no-partial-parse", strict=True)
        if finished.returncode != 0:
            return {"ok": False, "complaint": dbt_cli.complaint(finished)}
        manifest = dbt.artifact("manifest.json")
        counts = {"source": len(manifest["sources"])}
        for node in manifest["nodes"].values():
            counts[node["resource_type"]] = counts.get(node["resource_type"], 0) + 1
        return {"ok": True, "counts": counts}


if __name__ == "__main__":
    sys.exit(main())
