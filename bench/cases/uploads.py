"""An upload until it is STORED, compared with @tus/server and its file store; and many small ones, a request each."""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

from bench.alternation import Contestant
from bench.case import Bench, Case
from bench.errors import TransferFailed
from bench.loopback import client
from bench.operator import accepted
from bench.peers import tus
from bench.result import Figure, Goal, Outcome
from bench.scale import MIB, SMALL_FILE_BYTES, named
from bench.stand import Stand
from bench.timing import rate

OURS = "gridhaul put, 4 connections"
ONE_PATCH = "tus, one PATCH"
ONE_PUT = "curl -T"
SMALL = "64 KiB, one request each, 16 at once"
PEER = "@tus/server, one PATCH"
UNIT = "MiB/s"
THREADS = 16


def measure(bench: Bench) -> Outcome:
    mib = bench.scale.file_mib
    source = bench.stand.sources.random(mib)
    stand, operator = bench.stand, bench.stand.ours.operator
    endpoint = f"{stand.ours.system.url}/uploads"
    contestants = [
        Contestant(OURS, rate(mib, lambda: _put(stand, source), operator.delete)),
        Contestant(ONE_PATCH, rate(mib, lambda: _by_tus(stand, endpoint, source), operator.delete)),
        Contestant(ONE_PUT, rate(mib, lambda: _by_curl(stand, source), operator.delete)),
        Contestant(
            PEER,
            rate(mib, lambda: tus.upload(stand.tus_url, source), lambda address: tus.remove(stand.tus_url, address)),
        ),
    ]
    rates = bench.alternate(contestants, unit=UNIT)
    figures = [Figure(what=name, value=median(rates[name]), unit=UNIT) for name in (ONE_PATCH, ONE_PUT)]
    small = bench.alternate([Contestant(SMALL, _small(bench))], unit="files/s")
    figures.append(Figure(what=SMALL, value=median(small[SMALL]), unit="files/s"))
    return Outcome(size=named(mib), ours=rates[OURS], peers={PEER: rates[PEER]}, ours_is=OURS, figures=tuple(figures))


def _put(stand: Stand, source: Path) -> str:
    """Upload the file by the command, which ends once the file is STORED. Return the file's id."""
    system = stand.ours.system
    environment = {**os.environ, "GRIDHAUL_URL": system.url, "GRIDHAUL_TOKEN": system.token}
    command = [str(Path(sys.executable).parent / "gridhaul"), "put", str(source), "--no-resume"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603 - our own
    if done.returncode:
        raise TransferFailed(done.stderr)
    return _newest(stand)


def _by_tus(stand: Stand, endpoint: str, source: Path) -> str:
    address = tus.upload(endpoint, source, token=stand.ours.system.token)
    file_id = address.rpartition("/")[2][:24]
    stand.ours.operator.wait_stored(file_id)
    return file_id


def _by_curl(stand: Stand, source: Path) -> str:
    system = stand.ours.system
    url = f"{system.url}/named/{source.name}"
    command = ["curl", "-sf", "-o", os.devnull, "-H", f"Authorization: Bearer {system.token}", "-T", str(source), url]
    subprocess.run(command, check=True)  # noqa: S603 - no shell
    return _newest(stand)


def _newest(stand: Stand) -> str:
    file = stand.ours.operator.get("/files?limit=1")["files"][0]
    if file["state"] != "STORED":
        raise TransferFailed(f"The file is {file['state']}.")
    return str(file["file_id"])


def _small(bench: Bench) -> Callable[[], float]:
    """Return the measurement of many small files, one request each, over kept connections."""
    sources = bench.stand.sources.many(bench.scale.small_files // 2, SMALL_FILE_BYTES)
    bodies = [path.read_bytes() for path in sources]
    return rate(len(bodies), lambda: _send_all(bench.stand, bodies), bench.stand.ours.crowd.delete)


def _send_all(stand: Stand, bodies: Sequence[bytes]) -> list[str]:
    system = stand.ours.system
    with client(system.url, system.token) as http, ThreadPoolExecutor(THREADS) as threads:
        sent = threads.map(lambda one: http.put(f"/named/small-{one[0]}", content=one[1]), enumerate(bodies))
        return [str(accepted(answer)["file_id"]) for answer in sent]


CASE = Case(
    name="uploads",
    unit=UNIT,
    goal=Goal("≥", 0.5),
    measure=measure,
    stored_mib=lambda scale: scale.file_mib + scale.small_files * SMALL_FILE_BYTES // MIB,
)
