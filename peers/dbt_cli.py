"""Running dbt-core with dbt-duckdb on a project without writing into the project's folder."""

import json
import os
import pathlib
import re
import subprocess
import sys

import yaml


class Dbt:
    """One project, with its profile, target and logs in `work`."""

    def __init__(self, project: str, work: str, schema: str = "main"):
        self.project = pathlib.Path(project).resolve()
        self.work = pathlib.Path(work).resolve()
        self.database = self.work / "warehouse.duckdb"
        self.target = self.work / "target"
        settings = yaml.safe_load((self.project / "dbt_project.yml").read_text())
        output = {"type": "duckdb", "path": str(self.database), "schema": schema, "threads": 2}
        profile = {settings.get("profile", settings["name"]): {"target": "peer", "outputs": {"peer": output}}}
        (self.work / "profiles.yml").write_text(yaml.safe_dump(profile))

    def run(self, *arguments: str, strict: bool = False, variables: str | None = None) -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", "dbt.cli.main", "--no-use-colors", "--no-version-check"]
        if strict:
            command.append("--warn-error")
        command += [*arguments, "--project-dir", str(self.project), "--profiles-dir", str(self.work)]
        command += ["--target-path", str(self.target), "--log-path", str(self.work / "logs")]
        if variables:
            command += ["--vars", variables]
        # Without the network a usage report would only wait for its time-out.
        environment = os.environ | {"DBT_SEND_ANONYMOUS_USAGE_STATS": "false"}
        return subprocess.run(command, env=environment, capture_output=True, text=True, cwd=self.work)

    def artifact(self, name: str) -> dict:
        return json.loads((self.target / name).read_text())


def complaint(finished: subprocess.CompletedProcess) -> list[str]:
    """What dbt printed, without its clock."""
    lines = (finished.stdout + finished.stderr).splitlines()
    return [line for line in (re.sub(r"^\d\d:\d\d:\d\d\s*", "", line).rstrip() for line in lines) if line]
