"""Stores and delivers files of growing size, in one series of runs for the cases `memory` and `growth`."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count

from bench import memory
from bench.alternation import Contestant, alternate
from bench.display import Display
from bench.memory import Peaks
from bench.remotes import SINK
from bench.scale import GIB_IN_MIB, Scale, named
from bench.stand import Stand
from bench.timing import timed

UNIT = "s/GiB"


@dataclass(frozen=True, kw_only=True)
class Trip:
    """One file of zeros stored, delivered to the sink, and deleted."""

    seconds_per_gib: float  # until the file is STORED
    written_seconds_per_gib: float  # until MongoDB has also written its data files
    peaks: Peaks


Trips = Mapping[int, list[Trip]]  # by the MiB of the file, from the smallest to the largest


class _Traveller:
    def __init__(self, stand: Stand, mib: int) -> None:
        self._stand = stand
        self._mib = mib
        self._source = stand.sources.sparse(mib)
        self._names = (f"{mib}-mib-{number}" for number in count())
        self.trips: list[Trip] = []

    def travel(self) -> float:
        ours = self._stand.ours
        memory.forget_peaks(ours.system)
        seconds, file_id = timed(lambda: ours.operator.store(self._source))
        checkpoint_seconds, _ = timed(ours.checkpoint)
        ours.operator.deliver(file_id, ours.operator.sha256(file_id), target=SINK, object_name=next(self._names))
        gib = self._mib / GIB_IN_MIB
        trip = Trip(
            seconds_per_gib=seconds / gib,
            written_seconds_per_gib=(seconds + checkpoint_seconds) / gib,
            peaks=memory.peaks(ours.system),
        )
        self.trips.append(trip)
        ours.operator.delete(file_id)
        return trip.seconds_per_gib


def travel(stand: Stand, scale: Scale, *, runs: int, display: Display) -> Trips:
    """Measure all sizes in turn, and return their trips.

    Only the smallest size warms up: the other sizes are compared with it.
    """
    travellers = {mib: _Traveller(stand, mib) for mib in scale.growing_mib}
    smallest = min(travellers)
    contestants = [
        Contestant(named(mib), traveller.travel, warms_up=mib == smallest) for mib, traveller in travellers.items()
    ]
    alternate(contestants, runs=runs, settle=stand.ours.settle, display=display, unit=UNIT)
    return {mib: traveller.trips[-runs:] for mib, traveller in travellers.items()}
