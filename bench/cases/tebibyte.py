"""The peak memory of a worker's process that sends a file of 1 TiB to SeaweedFS, whose parts have 106 MiB."""

import subprocess
import sys
from functools import partial

from bench.alternation import Contestant
from bench.case import Bench, Case
from bench.errors import TransferFailed
from bench.places.place import TARGET
from bench.places.placed import Placed, placed
from bench.places.seaweedfs import WEED, seaweedfs
from bench.result import Figure, Goal, Outcome
from bench.scale import GIB_IN_MIB, named
from bench.stand import Stand, environment_of
from gridhaul.embedded.data_directory import DataDirectory
from gridhaul.embedded.environment import ServiceSettings
from gridhaul.embedded.programs import PROJECT

NAME = "tebibyte"
UNIT = "MiB"
MOST = Goal("≤", 256)
SHORTER_BY = 10  # the part of it that the peer sends


def measure(bench: Bench) -> Outcome:
    """Compare the peak with that of a process that sends a tenth: memory must not grow with what was sent.

    The child does the work of the installation's workers, which would take the delivery from it.
    """
    longer = bench.scale.tebibyte_mib
    shorter = longer // SHORTER_BY
    names = {mib: f"the first {named(mib)}" for mib in (longer, shorter)}
    with placed(bench.stand, NAME, seaweedfs) as at:
        for program in ("worker_small", "worker_large"):
            at.installation.system.stop_program(program)
        contestants = [Contestant(names[mib], partial(_peak, bench.stand, at, mib), warms_up=False) for mib in names]
        peaks = bench.alternate(contestants, unit=UNIT)
    highest = max(value for values in peaks.values() for value in values)
    return Outcome(
        size="a file of 1 TiB",
        ours=peaks[names[longer]],
        peers={names[shorter]: peaks[names[shorter]]},
        ours_is=names[longer],
        figures=(Figure(what="highest in any run", value=highest, unit=UNIT, goal=MOST),),
    )


def _peak(stand: Stand, at: Placed, mib: int) -> float:
    """Send so many MiB in a process of its own, and return its highest memory. Raises TransferFailed."""
    system = at.installation.system
    settings = ServiceSettings(
        directory=DataDirectory(system.data),
        roots=system.roots,
        chunk_service_url=system.chunk_service_url,
        overrides=environment_of({**stand.settings, "DATABASE": at.installation.database}),
    )
    command = [sys.executable, "-m", "bench.tebibyte", TARGET, str(mib)]
    done = subprocess.run(  # noqa: S603 - our own program
        command, env=settings.worker(NAME), cwd=PROJECT, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise TransferFailed(done.stderr)
    at.remove_objects()
    return float(done.stdout)


CASE = Case(
    name=NAME,
    unit=UNIT,
    goal=Goal("≤", 1.1),
    measure=measure,
    stored_mib=lambda scale: scale.tebibyte_mib + GIB_IN_MIB,
    programs=(WEED,),
)
