"""Measures Wardlake and its peers one after another, each alone on the machine: `cargo xtask bench` calls it.

The main job runs on the same files in every engine and its results are compared, so that nobody is fast by leaving work out.
What the figures mean stands in docs/PERFORMANCE.md.
"""

import argparse
import csv
import io
import json
import os
import pathlib
import platform
import shutil
import subprocess
import sys

import figures
import measure
import small_projects

HERE = pathlib.Path(__file__).parent
DOCUMENT = HERE.parent / "docs" / "PERFORMANCE.md"
SECTIONS = ("job", "ingest", "rules", "rerun", "parse", "start")
PEERS = {"polars": "Polars", "duckdb": "DuckDB", "spark": "PySpark"}
BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wardlake", type=pathlib.Path, required=True)
    parser.add_argument("--work", type=pathlib.Path, required=True)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--memory", type=int, default=4096, help="MiB that Wardlake may hold")
    parser.add_argument("--peers", default=",".join(PEERS))
    parser.add_argument("--only", default=",".join(SECTIONS))
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    wanted = args.only.split(",")
    if unknown := set(wanted) - set(SECTIONS):
        parser.error(f"--only knows {', '.join(SECTIONS)}, not {', '.join(sorted(unknown))}")

    bench = Bench(args)
    lines = [machine()]
    for section in SECTIONS:
        if section in wanted:
            print(f"… {section}", file=sys.stderr, flush=True)
            lines += ["", *getattr(bench, section)()]
    report = "\n".join(lines)
    print(report)
    if args.write:
        write_document(report)
    return 1 if bench.disagreements else 0


class Bench:
    def __init__(self, args):
        self.args, self.work = args, args.work.resolve()
        self.landing = self.work / f"landing-{args.rows}-{args.days}"
        self.disagreements = []

    # One method per section; each returns the lines of its part of the report.

    def job(self) -> list[str]:
        landing = self.generated()
        size = json.loads((landing / "truth.json").read_text())["bytes"] / 1e6
        lines = [f"### Main job: {self.args.rows:,} events, {self.args.days} daily extracts, {size:,.0f} MB of input", ""]
        lines += ["| engine | seconds | peak memory, MiB |", "|---|---:|---:|"]
        ours, phases, results = self.job_in_wardlake(landing)
        lines.append(f"| Wardlake | {ours.seconds:.1f} | {ours.peak_mib:,.0f} |")
        answers = {"Wardlake": results}
        for peer in filter(PEERS.get, self.args.peers.split(",")):
            try:
                measured, answers[PEERS[peer]] = self.job_in_peer(peer, landing)
                lines.append(f"| {PEERS[peer]} | {measured.seconds:.1f} | {measured.peak_mib:,.0f} |")
            except measure.Failed as failure:
                print(failure, file=sys.stderr)
                lines.append(f"| {PEERS[peer]} | failed | |")
        lines += ["", self.agreement(answers), "", *phases]
        return lines

    def ingest(self) -> list[str]:
        landing = self.generated("--also-csv")
        lines = ["### Ingest alone", "", "| format | MB | seconds | MB/s | peak memory, MiB |", "|---|---:|---:|---:|---:|"]
        for kind, folder in (("ndjson", "events"), ("csv", "events_csv")):
            size = sum(file.stat().st_size for file in (landing / folder).iterdir()) / 1e6
            project = small_projects.ingest(self.fresh(f"ingest-{kind}"), kind)
            fresh = lambda: self.wardlake(project, self.fresh(f"lake-ingest-{kind}"), landing, "ingest")
            best = self.best(fresh)
            row = f"{size:,.0f} | {best.seconds:.2f} | {size / best.seconds:,.0f} | {best.peak_mib:,.0f}"
            lines.append(f"| {kind.upper()} | {row} |")
        return lines

    def rules(self) -> list[str]:
        landing, lake = self.generated(), self.fresh("lake-rules")
        project = small_projects.rules(self.fresh("rules"))
        self.wardlake(project, lake, landing, "ingest")
        # By turns, so that a slow minute of the machine meets both.
        runs = {"without": [], "with_rules": []}
        for _ in range(max(self.args.repeat, 3)):
            for model, measured in runs.items():
                measured.append(self.wardlake(project, lake, landing, "run", "--full-refresh", "--select", model))
        seconds = {model: min(run.seconds for run in measured) for model, measured in runs.items()}
        # What other programs take from the machine adds to the seconds, hardly to the processor's time.
        cpu = {model: min(run.cpu_seconds for run in measured) for model, measured in runs.items()}
        titles = {"without": "without rules", "with_rules": "with 30 rules, quarantine and accounting"}
        return [
            f"### Thirty expectations on {self.args.rows:,} rows", "", "| model | seconds | CPU seconds |", "|---|---:|---:|",
            *(f"| {title} | {seconds[model]:.2f} | {cpu[model]:.2f} |" for model, title in titles.items()), "",
            f"Ratio: {seconds['with_rules'] / seconds['without']:.2f}; "
            f"of CPU seconds: {cpu['with_rules'] / cpu['without']:.2f}.",
        ]

    def rerun(self) -> list[str]:
        landing, lake = self.generated(), self.fresh("lake-rerun")
        project = small_projects.tree(self.fresh("rerun"), 200)
        steps = {"ingest": ["ingest"], "build": ["build"]}
        lines = ["### 200 models: first run, and again with nothing new", "", "| command | first, s | again, s |", "|---|---:|---:|"]
        for name, command in steps.items():
            first = self.wardlake(project, lake, landing, *command)
            steps[name] = (command, first)
        for name, (command, first) in steps.items():
            again = self.best(lambda: self.wardlake(project, lake, landing, *command))
            lines.append(f"| {name} | {first.seconds:.2f} | {again.seconds:.2f} |")
        return lines

    def parse(self) -> list[str]:
        project = small_projects.tree(self.fresh("parse"), 10_000)
        best = self.best(lambda: self.wardlake(project, self.fresh("lake-parse"), self.landing, "parse"))
        return [f"Parse of 10,000 models: {best.seconds:.2f} s, {best.peak_mib:,.0f} MiB."]

    def start(self) -> list[str]:
        times = [measure.run([self.args.wardlake, "--version"], self.work / "logs" / "start.log").seconds for _ in range(10)]
        return [f"`wardlake --version`: {min(times) * 1000:.0f} ms (fastest of 10; slowest {max(times) * 1000:.0f} ms)."]

    # What the sections share.

    def generated(self, *flags: str) -> pathlib.Path:
        shape = ["--rows", str(self.args.rows), "--days", str(self.args.days)]
        subprocess.run([sys.executable, HERE / "generate.py", self.landing, *shape, *flags], check=True)
        return self.landing

    def fresh(self, name: str) -> pathlib.Path:
        folder = self.work / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder

    def best(self, attempt) -> measure.Measurement:
        return min((attempt() for _ in range(self.args.repeat)), key=lambda measured: measured.seconds)

    def wardlake(self, project: pathlib.Path, lake: pathlib.Path, landing: pathlib.Path, *command: str) -> measure.Measurement:
        # Half for what may spill; the rest for readers, writers and what the allocator keeps.
        environment = {"WARDLAKE_LANDING": str(landing), "WARDLAKE_BENCH_MEMORY": f"{self.args.memory // 2}MiB"}
        flags = ["--project-dir", project, "--lake", lake]
        log = self.work / "logs" / f"{project.name}-{command[0]}.log"
        return measure.run([self.args.wardlake, *flags, *command], log, environment)

    def job_in_wardlake(self, landing: pathlib.Path):
        best = None
        for _ in range(self.args.repeat):
            project, lake = self.fresh("project"), self.fresh("lake")
            shutil.copytree(HERE / "project", project, dirs_exist_ok=True)
            ingest = self.wardlake(project, lake, landing, "ingest")
            build = self.wardlake(project, lake, landing, "build")
            if best is None or (ingest + build).seconds < (best[0] + best[1]).seconds:
                best = ingest, build, slowest_nodes(project)
        ingest, build, nodes = best
        phases = ["Where Wardlake's time goes:", "", "| step | seconds |", "|---|---:|", f"| ingest | {ingest.seconds:.2f} |"]
        phases += [f"| {name} | {seconds:.2f} |" for name, seconds in nodes]
        phases.append(f"| build, as a whole | {build.seconds:.2f} |")
        return ingest + build, phases, self.wardlake_figures(project, lake, landing)

    def wardlake_figures(self, project: pathlib.Path, lake: pathlib.Path, landing: pathlib.Path) -> dict:
        results = {}
        for table in figures.QUERIES:
            command = [self.args.wardlake, "--project-dir", project, "--lake", lake, "sql", figures.wardlake_query(table), "--format", "csv"]
            environment = os.environ | {"WARDLAKE_LANDING": str(landing)}
            printed = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
            results[table] = [float(value) for value in list(csv.reader(io.StringIO(printed)))[1]]
        return results

    def job_in_peer(self, peer: str, landing: pathlib.Path):
        def attempt():
            out = self.fresh(f"out-{peer}")
            return measure.run([sys.executable, HERE / "peers" / f"{peer}_job.py", landing, out], self.work / "logs" / f"{peer}.log")

        best = self.best(attempt)
        printed = subprocess.run(
            [sys.executable, HERE / "figures.py", self.work / f"out-{peer}"], check=True, capture_output=True, text=True
        ).stdout
        return best, json.loads(printed)

    def agreement(self, answers: dict) -> str:
        ours = answers["Wardlake"]
        for engine, theirs in answers.items():
            self.disagreements += [f"Wardlake and {engine} differ in {what}" for what in figures.differences(ours, theirs)]
        if self.disagreements:
            return "**The results differ:** " + "; ".join(self.disagreements) + "."
        return f"All {len(answers)} engines agree on every row count and figure ({len(figures.QUERIES)} tables)."


def slowest_nodes(project: pathlib.Path) -> list[tuple[str, float]]:
    results = json.loads((project / "target" / "run_results.json").read_text())["results"]
    times = [(result["unique_id"].split(".", 2)[-1], result["execution_time"]) for result in results]
    return sorted(times, key=lambda node: -node[1])[:8]


def machine() -> str:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"Measured on {cores} cores with {memory:.0f} GiB, {platform.system()} {platform.machine()}."


def write_document(report: str) -> None:
    """Replaces what stands between the two marks, or begins the document."""
    text = DOCUMENT.read_text() if DOCUMENT.is_file() else f"# Performance\n\n{BEGIN}\n{END}\n"
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    DOCUMENT.parent.mkdir(exist_ok=True)
    DOCUMENT.write_text(f"{before}{BEGIN}\n{report}\n{END}{after}")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except measure.Failed as failure:
        sys.exit(f"bench: {failure}")
