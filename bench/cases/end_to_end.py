"""Prepare to DELIVERED at a WebDAV server, stored and verified on the way, against `rclone copyto` straight to it."""

from collections.abc import Callable
from itertools import count
from pathlib import Path
from statistics import median

import httpx2

from bench.alternation import Contestant
from bench.case import Bench, Case
from bench.peers.rclone import Rclone
from bench.remotes import HASHED, USER, WEBDAV
from bench.result import Figure, Goal, Outcome
from bench.scale import named
from bench.stand import Stand
from bench.timing import timed

OURS = "Gridhaul, read back"  # what a WebDAV target does without further configuration
WITH_DIGEST = "Gridhaul, digest of the server"
PEER = "rclone copyto"
UNIT = "MiB/s"


def measure(bench: Bench) -> Outcome:
    mib = bench.scale.file_mib
    source = bench.stand.sources.random(mib)
    contestants = [
        Contestant(OURS, _sending(bench.stand, source, mib, target=WEBDAV)),
        Contestant(WITH_DIGEST, _sending(bench.stand, source, mib, target=HASHED)),
        Contestant(PEER, _copying(Rclone.configured_for(bench.stand.remotes), source, mib)),
    ]
    rates = bench.alternate(contestants, unit=UNIT)
    with_digest = median(rates[WITH_DIGEST])
    figures = (
        Figure(what=WITH_DIGEST, value=with_digest, unit=UNIT),
        Figure(what=f"{WITH_DIGEST}, by {PEER}", value=with_digest / median(rates[PEER]), unit=""),
    )
    peers = {PEER: rates[PEER]}
    return Outcome(size=named(mib), ours=rates[OURS], peers=peers, ours_is=OURS, figures=figures)


def _sending(stand: Stand, source: Path, mib: int, *, target: str) -> Callable[[], float]:
    names = (f"object-{number}" for number in count())

    def run() -> float:
        name = next(names)
        seconds, file_id = timed(lambda: stand.ours.operator.send(source, target=target, object_name=name))
        stand.ours.operator.delete(file_id)
        url = f"{stand.remotes.webdav_url(target)}/{name}"
        httpx2.delete(url, auth=(USER, stand.remotes.password), trust_env=False).raise_for_status()
        return mib / seconds

    return run


def _copying(rclone: Rclone, source: Path, mib: int) -> Callable[[], float]:
    def run() -> float:
        seconds, _ = timed(lambda: rclone.copy(source, "copy"))
        rclone.remove("copy")
        return mib / seconds

    return run


CASE = Case(
    name="end_to_end",
    unit=UNIT,
    goal=Goal("≥", 0.5),
    measure=measure,
    stored_mib=lambda scale: 2 * scale.file_mib,
)
