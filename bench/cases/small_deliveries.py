"""STORED to DELIVERED of a batch of many small files at a WebDAV server, compared with `rclone copy` to that server."""

from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from statistics import median

from bench.alternation import Contestant
from bench.case import Bench, Case
from bench.deliverable_batch import DeliverableBatch
from bench.peers.rclone import Rclone
from bench.remotes import WEBDAV
from bench.result import Figure, Goal, Outcome
from bench.scale import MIB, SMALL_FILE_BYTES
from bench.stand import Stand
from bench.timing import rate, timed

OURS = "Gridhaul"
PEER = "rclone copy --transfers 4"
UNPACED = "rclone without its pause of 10 ms between requests"
UNIT = "files/s"


def measure(bench: Bench) -> Outcome:
    sources = bench.stand.sources.many(bench.scale.small_files, SMALL_FILE_BYTES)
    rclone = Rclone.configured_for(bench.stand.remotes)
    contestants = [
        Contestant(OURS, _delivering(bench.stand, sources)),
        Contestant(PEER, _copying(bench.stand, rclone, sources), warms_up=False),
        Contestant(UNPACED, _copying(bench.stand, rclone, sources, "--webdav-pacer-min-sleep", "0")),
    ]
    rates = bench.alternate(contestants, unit=UNIT)
    unpaced = median(rates[UNPACED])
    figures = (
        Figure(what=UNPACED, value=unpaced, unit=UNIT),
        Figure(what=f"{OURS}, by {UNPACED}", value=median(rates[OURS]) / unpaced, unit=""),
    )
    size = f"{len(sources):,} files of 64 KiB as a batch"
    return Outcome(size=size, ours=rates[OURS], peers={PEER: rates[PEER]}, figures=figures)


def _delivering(stand: Stand, sources: Sequence[Path]) -> Callable[[], float]:
    folders = (f"delivered-{number}" for number in count())

    def deliver() -> float:
        folder = next(folders)
        batch = DeliverableBatch.stored(stand.ours, sources, folder=folder)
        seconds, _ = timed(batch.deliver)
        batch.delete()
        stand.remotes.remove(WEBDAV, f"{folder}/")
        return len(sources) / seconds

    return deliver


def _copying(stand: Stand, rclone: Rclone, sources: Sequence[Path], *options: str) -> Callable[[], float]:
    tree, folder = sources[0].parent, "copied"
    return rate(
        len(sources),
        lambda: rclone.copy_tree(tree, folder, *options),
        lambda _: stand.remotes.remove(WEBDAV, f"{folder}/"),
    )


CASE = Case(
    name="small_deliveries",
    unit=UNIT,
    goal=Goal("≥", 0.7),
    measure=measure,
    stored_mib=lambda scale: 3 * scale.small_files * SMALL_FILE_BYTES // MIB,
)
