"""A run of schemathesis in a process of its own: one caller against one service."""

import json
import os
import subprocess
import sys
import tempfile
import tomllib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli_w

from tests.fuzz.callers import Caller
from tests.fuzz.words import Words
from tests.journeys.processes import PROJECT

BASE = Path(__file__).with_name("schemathesis.toml")
UNAUTHORIZED = 401
SERVER_ERROR = 500
FINDINGS = 1  # the exit code of schemathesis when it has found something


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The outcome of a run.

    `answers` are counted by status, method and path; `text` says what was found and how to reproduce it.
    """

    caller: Caller
    answers: Counter[str]
    findings: int
    text: str

    @property
    def statuses(self) -> Counter[int]:
        found: Counter[int] = Counter()
        for answer, count in self.answers.items():
            found[int(answer.split()[0])] += count
        return found

    @property
    def admitted(self) -> list[str]:
        """The successful answers to a caller without a valid token; there should be none."""
        return [] if self.caller.authorised else [answer for answer in self.answers if answer.startswith("2")]

    @property
    def locked_out(self) -> bool:
        """True if a caller with a valid token got too many 401: then the run has tested hardly anything."""
        return self.caller.authorised and self.statuses[UNAUTHORIZED] > self.statuses.total() / 4

    @property
    def failed(self) -> bool:
        return bool(self.findings or self.admitted or self.locked_out or max(self.statuses) >= SERVER_ERROR)


def run(caller: Caller, *, examples: int, seed: int) -> Outcome:
    """Run all checks in all phases, with `examples` for each operation in the fuzzing phase.

    Raises RuntimeError if schemathesis itself fails.
    """
    with tempfile.TemporaryDirectory(prefix="gridhaul-fuzz-") as directory:
        settings, counts, report = (Path(directory) / name for name in ("settings.toml", "counts.json", "report.json"))
        settings.write_text(tomli_w.dumps(_settings(caller, examples=examples)))
        command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(settings), "run"]
        command += [f"{caller.url}/openapi.json", "--no-color", "--seed", str(seed)]
        command += ["--report", "json", "--report-json-path", str(report)]
        words = Words(counts=str(counts), **caller.words)
        environment = {**os.environ, **words.as_environment()}
        done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True)
        if done.returncode not in (0, FINDINGS):
            raise RuntimeError(done.stdout + done.stderr)
        return _outcome(caller, json.loads(counts.read_text()), json.loads(report.read_text()), done.stdout)


def _outcome(caller: Caller, counts: dict[str, int], report: dict[str, Any], text: str) -> Outcome:
    findings = sum(group["count"] for group in report["failures"] + report["errors"])
    return Outcome(caller=caller, answers=Counter(counts), findings=findings, text=text)


def _settings(caller: Caller, *, examples: int) -> dict[str, Any]:
    settings = tomllib.loads(BASE.read_text())
    settings["generation"]["max-examples"] = max(1, round(examples * caller.share))
    operations = [*settings["operations"], *caller.settings.get("operations", [])]
    return {**settings, **caller.settings, "operations": operations}
