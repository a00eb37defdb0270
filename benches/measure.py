"""One program, alone: how long it ran, how much processor time it took and how much memory it and its children held at once.

Standard library only: what this process holds itself would count as the floor of what a child is said to have held.
"""

import dataclasses
import os
import pathlib
import subprocess
import sys
import threading
import time

SAMPLE_SECONDS = 0.05


@dataclasses.dataclass
class Measurement:
    seconds: float
    peak_mib: float
    cpu_seconds: float

    def __add__(self, other: "Measurement") -> "Measurement":
        """One after the other: the times add up, the memory does not."""
        return Measurement(
            self.seconds + other.seconds, max(self.peak_mib, other.peak_mib), self.cpu_seconds + other.cpu_seconds
        )


class Failed(Exception):
    """The program ended with an error; its log says why."""


def run(command: list, log: pathlib.Path, environment: dict | None = None) -> Measurement:
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "wb") as output:
        started = time.monotonic()
        process = subprocess.Popen(
            [str(part) for part in command], stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            env=os.environ | (environment or {}),
        )
        tree = TreeMemory(process.pid)
        tree.start()
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        tree.stop()
    if process.returncode != 0:
        end = log.read_text(errors="replace").splitlines()[-15:]
        raise Failed("\n".join([f"{pathlib.Path(str(command[0])).name} ended with {process.returncode}; the end of {log}:", *end]))
    unit = 1024 * 1024 if sys.platform == "darwin" else 1024
    return Measurement(seconds, max(usage.ru_maxrss / unit, tree.peak_mib), usage.ru_utime + usage.ru_stime)


class TreeMemory(threading.Thread):
    """Samples the resident memory of a process and all below it; the kernel's own maximum knows only the largest of them."""

    def __init__(self, root: int):
        super().__init__(daemon=True)
        self.root, self.peak_mib, self.ended = root, 0.0, threading.Event()

    def run(self) -> None:
        while not self.ended.wait(SAMPLE_SECONDS):
            self.peak_mib = max(self.peak_mib, resident_mib(self.root))

    def stop(self) -> None:
        self.ended.set()
        self.join()


def resident_mib(root: int) -> float:
    """Zero where there is no /proc."""
    total, waiting = 0, [root]
    while waiting:
        pid = waiting.pop()
        try:
            pages = int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1])
            children = pathlib.Path(f"/proc/{pid}/task").glob("*/children")
            waiting += [int(child) for file in children for child in file.read_text().split()]
        except (OSError, IndexError):
            continue
        total += pages * os.sysconf("SC_PAGE_SIZE")
    return total / 1024 / 1024
