"""Measures slowdown with size: storing a large file, listing many files, preparing while others are stored."""

from statistics import median

from bench.case import Bench, Case
from bench.large_files import UNIT
from bench.listing import measure_listings
from bench.preparing import measure_preparing
from bench.result import Figure, Goal, Outcome
from bench.scale import named


def measure(bench: Bench) -> Outcome:
    seconds = {mib: [trip.seconds_per_gib for trip in series] for mib, series in bench.trips.items()}
    smallest, largest = min(seconds), max(seconds)
    written = {mib: median(trip.written_seconds_per_gib for trip in series) for mib, series in bench.trips.items()}
    figures = [Figure(what=f"storing {named(mib)}", value=median(seconds[mib]), unit=UNIT) for mib in seconds]
    figures += [
        Figure(what=f"storing {named(mib)}, to the data files", value=written[mib], unit=UNIT) for mib in written
    ]
    ratio = written[largest] / written[smallest]
    figures += [Figure(what=f"storing, to the data files, {named(largest)} by {named(smallest)}", value=ratio, unit="")]
    figures += measure_listings(bench)
    figures += measure_preparing(bench)
    return Outcome(
        size="sparse files",
        ours=seconds[largest],
        peers={named(smallest): seconds[smallest]},
        ours_is=named(largest),
        figures=figures,
    )


CASE = Case(
    name="growth",
    unit=UNIT,
    goal=Goal("≤", 1.15),
    measure=measure,
    stored_mib=lambda scale: max(scale.growing_mib),
)
