"""Schemathesis as a process of its own: one caller against one service."""

import json
import os
import subprocess
import sys
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
SERVER_ERROR = 500
FINDINGS = 1  # how schemathesis ends when it has found something


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """`answers` are counted by status, method and path; `text` says what was found and how to see it again."""

    caller: Caller
    answers: Counter[str]
    findings: int
    beyond_schema: int
    text: str

    @property
    def statuses(self) -> Counter[int]:
        found: Counter[int] = Counter()
        for answer, count in self.answers.items():
            found[int(answer.split()[0])] += count
        return found

    @property
    def failed(self) -> bool:
        """Whether there is a finding, a server error, or an answer to somebody who may have none."""
        return bool(
            self.findings or max(self.statuses) >= SERVER_ERROR or (self.admitted and not self.caller.authorised)
        )

    @property
    def admitted(self) -> set[str]:
        """The operations that were answered well."""
        return {answer.partition(" ")[2] for answer in self.answers if answer.startswith("2")}


def run(caller: Caller, directory: Path, *, examples: int, seed: int, sealed_id: str) -> Outcome:
    """All checks in all phases, `examples` for each operation in the fuzzing phase. The directory is the run's own."""
    settings, counts, report = directory / "settings.toml", directory / "counts.json", directory / "report.json"
    settings.write_text(tomli_w.dumps(_settings(caller, examples=examples)))
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(settings), "run"]
    command += [f"{caller.url}/openapi.json", "--no-color", "--seed", str(seed)]
    command += ["--report", "json", "--report-json-path", str(report)]
    words = Words(counts=str(counts), sealed_id=sealed_id, spared=dict(caller.spared), foreign=list(caller.foreign))
    done = subprocess.run(
        command,
        cwd=PROJECT,
        env={**os.environ, **words.as_environment()},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode not in (0, FINDINGS) or not report.exists():
        raise RuntimeError(done.stdout)
    found = json.loads(report.read_text())
    return Outcome(
        caller=caller,
        answers=Counter(json.loads(counts.read_text())),
        findings=sum(group["count"] for group in found["failures"] + found["errors"]),
        beyond_schema=found["filtered"],
        text=done.stdout,
    )


def _settings(caller: Caller, *, examples: int) -> dict[str, Any]:
    settings = tomllib.loads(BASE.read_text())
    settings["generation"]["max-examples"] = max(1, round(examples * caller.share))
    operations = [*settings["operations"], *caller.settings.get("operations", [])]
    return {**settings, **caller.settings, "operations": operations}
