"""The peak memory of Gridhaul's processes with the largest file, compared with their peak with the smallest."""

from statistics import median

from bench import memory
from bench.case import Bench, Case
from bench.large_files import Trips
from bench.result import Figure, Goal, Outcome
from bench.scale import named

UNIT = "MiB"
MOST = Goal("≤", 256)


def measure(bench: Bench) -> Outcome:
    trips = bench.trips
    smallest, largest = min(trips), max(trips)
    peaks = {mib: [memory.highest(trip.peaks) for trip in trips[mib]] for mib in (smallest, largest)}
    highest = Figure(what="highest of any process of ours in any run", value=_most(trips), unit=UNIT, goal=MOST)
    figures = [highest, *(_figure(trips, name, mib) for name in memory.OURS + memory.SERVERS for mib in peaks)]
    return Outcome(
        size="sparse files",
        ours=peaks[largest],
        peers={named(smallest): peaks[smallest]},
        ours_is=named(largest),
        figures=figures,
    )


def _most(trips: Trips) -> float:
    return max(memory.highest(trip.peaks) for series in trips.values() for trip in series)


def _figure(trips: Trips, name: str, mib: int) -> Figure:
    value = median(trip.peaks[name] for trip in trips[mib])
    return Figure(what=f"{name}, {named(mib)}", value=value, unit=UNIT)


CASE = Case(
    name="memory",
    unit=UNIT,
    goal=Goal("≤", 1.1),
    measure=measure,
    stored_mib=lambda scale: max(scale.growing_mib),
)
