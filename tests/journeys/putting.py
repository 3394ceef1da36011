"""A running `gridhaul put` whose requests pass a proxy that counts them."""

import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gridhaul.embedded.system import System
from tests.journeys.operator import MIB, Json, Operator
from tests.servers.proxy import Proxy, Seen

CHUNKS = re.compile(r"/uploads/[0-9a-f]+/chunks/([0-9]+)")
COMMAND_SECONDS = 150


@dataclass(frozen=True, kw_only=True)
class Place:
    """A system, a proxy before its api, the directory of its target, and the directory of the command's notes."""

    system: System
    operator: Operator
    proxy: Proxy
    delivered: Path
    state: Path

    def begin(self, *args: str, stdin: int | None = subprocess.DEVNULL) -> "subprocess.Popen[str]":
        settings = {"GRIDHAUL_URL": self.proxy.url, "GRIDHAUL_TOKEN": self.system.token}
        return subprocess.Popen(
            [str(Path(sys.executable).parent / "gridhaul"), "put", *args],
            env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "XDG_STATE_HOME": str(self.state), **settings},
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def put(self, *args: str) -> subprocess.CompletedProcess[str]:
        with running(self.begin(*args)) as process:
            stdout, stderr = process.communicate(timeout=COMMAND_SECONDS)
        return subprocess.CompletedProcess(args, process.returncode, stdout, stderr)

    @property
    def notes(self) -> list[Path]:
        return sorted(self.state.glob("gridhaul/uploads/*"))

    def files(self, name: str, *states: str) -> list[Json]:
        """Return the files of this name, in one of the states or in any."""
        found = self.operator.http.get("/files", params={"limit": 1000, "state": states}).json()["files"]
        return [file for file in found if file["name"] == name]

    def traffic(self) -> "Traffic":
        return Traffic.of(list(self.proxy.requests))


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """The chunks that have passed the proxy."""

    acknowledged: Counter[int]  # how often each chunk was acknowledged
    all_bytes: int
    unacknowledged_bytes: int

    @classmethod
    def of(cls, requests: list[Seen]) -> "Traffic":
        acknowledged: Counter[int] = Counter()
        lost = total = 0
        for seen in requests:
            if seen.method != "PUT" or not (found := CHUNKS.fullmatch(seen.target)):
                continue
            total += seen.body_bytes
            if seen.status == 204:
                first = int(found[1])
                acknowledged.update(range(first, first + -(-seen.body_bytes // MIB)))
            else:
                lost += seen.body_bytes
        return cls(acknowledged=acknowledged, all_bytes=total, unacknowledged_bytes=lost)

    def require_sent_once(self, length: int) -> None:
        """Require that each chunk was acknowledged once, so that only what was not acknowledged has travelled twice."""
        assert self.acknowledged == Counter(range(-(-length // MIB)))
        assert self.all_bytes == length + self.unacknowledged_bytes


@contextmanager
def running(process: "subprocess.Popen[str]") -> Iterator["subprocess.Popen[str]"]:
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                stream.close()
