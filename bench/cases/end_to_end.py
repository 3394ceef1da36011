"""Prepare to DELIVERED at a WebDAV server, through the database, compared with `rclone copyto` to the same server."""

from collections.abc import Callable
from itertools import count
from pathlib import Path
from statistics import median

from bench.alternation import Contestant
from bench.case import Bench, Case
from bench.peers.rclone import Rclone
from bench.remotes import HASHED, WEBDAV
from bench.result import Figure, Goal, Outcome
from bench.scale import named
from bench.stand import Stand
from bench.timing import rate

OURS = "Gridhaul, read back"  # a WebDAV target without further configuration
WITH_DIGEST = "Gridhaul, digest of the server"
PEER = "rclone copyto"
UNIT = "MiB/s"
COPY = "copy"


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
    operator, names = stand.ours.operator, (f"object-{number}" for number in count())

    def send() -> tuple[str, str]:
        name = next(names)
        return operator.send(source, target=target, object_name=name), name

    def remove(sent: tuple[str, str]) -> None:
        file_id, name = sent
        operator.delete(file_id)
        stand.remotes.remove(target, name)

    return rate(mib, send, remove)


def _copying(rclone: Rclone, source: Path, mib: int) -> Callable[[], float]:
    return rate(mib, lambda: rclone.copy(source, COPY), lambda _: rclone.remove(COPY))


CASE = Case(
    name="end_to_end",
    unit=UNIT,
    goal=Goal("≥", 0.5),
    measure=measure,
    stored_mib=lambda scale: 2 * scale.file_mib,
)
