"""All cases, in the order in which they are shown."""

from collections.abc import Sequence

from bench.case import Case
from bench.cases import (
    downloads,
    egress,
    end_to_end,
    growth,
    ingest,
    ingest_parent,
    memory,
    middle_files,
    small_deliveries,
    small_files,
    targets,
    tebibyte,
    uploads,
    workers,
)
from bench.errors import UsageProblem

CASES: tuple[Case, ...] = (
    ingest.CASE,
    ingest_parent.CASE,
    egress.CASE,
    uploads.CASE,
    downloads.CASE,
    end_to_end.CASE,
    small_files.CASE,
    small_deliveries.CASE,
    middle_files.CASE,
    *targets.CASES,
    memory.CASE,
    tebibyte.CASE,
    growth.CASE,
    workers.CASE,
)
NAMES = tuple(case.name for case in CASES)
GROUPS = {"targets": tuple(case.name for case in targets.CASES)}  # cases that one name stands for
ALL_NAMES = (*NAMES, *GROUPS)


def choose(names: Sequence[str]) -> list[Case]:
    """Return the named cases, or all cases if `names` is empty, in the order of the catalogue. Raises UsageProblem."""
    wanted = {case for name in names for case in GROUPS.get(name, (name,))}
    unknown = sorted(wanted - set(NAMES))
    if unknown:
        raise UsageProblem(f"There is no case {', '.join(unknown)}. There are: {', '.join(ALL_NAMES)}.")
    return [case for case in CASES if not names or case.name in wanted]
