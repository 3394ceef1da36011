"""The fuzz tests of the parsers, run in a process of their own, and the number of calls of each parser."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from tests.journeys.processes import PROJECT

TEST = re.compile(r"^tests/fuzz/test_parsers\.py::(\w+):$", re.MULTILINE)
EXECUTIONS = re.compile(r"(\d+) passing, (\d+) failing")


@dataclass(frozen=True, kw_only=True)
class Tried:
    """The result of a run: the executions of each test, and `text`, all output of the run."""

    executions: Mapping[str, int]
    failed: bool
    text: str


def run(examples: int) -> Tried:
    command = [sys.executable, "-m", "pytest", "tests/fuzz/test_parsers.py", "-q", "--timeout", "0"]
    command += ["--hypothesis-show-statistics"]
    environment = {**os.environ, "FUZZ_EXAMPLES": str(examples)}
    done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True)
    executions = read_executions(done.stdout)
    failed = done.returncode != 0 or not executions or not all(executions.values())
    return Tried(executions=executions, failed=failed, text=done.stdout + done.stderr)


def read_executions(statistics: str) -> dict[str, int]:
    """Return the executions of each test, summed over its phases, from the statistics that Hypothesis prints."""
    names_and_texts = TEST.split(statistics)[1:]
    pairs = zip(names_and_texts[::2], names_and_texts[1::2], strict=True)
    return {name: sum(int(passed) + int(failed) for passed, failed in EXECUTIONS.findall(text)) for name, text in pairs}
