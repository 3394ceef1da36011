"""Checks that the disk has room for everything that the cases store."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from bench.case import Case
from bench.errors import NoSpace
from bench.scale import GIB_IN_MIB, MIB, Scale

KEPT_FREE_MIB = 2 * GIB_IN_MIB + 512  # Gridhaul's reserve of 1 GiB, MongoDB's journal, and the servers' own files
GROWTH = 1.1  # the size of the database's files, divided by the data in them


def needed_mib(cases: Sequence[Case], scale: Scale) -> int:
    """Return the MiB of the sources, of the most that is stored at once, and of the reserve."""
    return scale.sources_mib + round(GROWTH * max(case.stored_mib(scale) for case in cases)) + KEPT_FREE_MIB


def check_space(directory: Path, cases: Sequence[Case], scale: Scale) -> None:
    """Raise NoSpace if the disk of `directory` has too little room for the cases."""
    needed, free = needed_mib(cases, scale), shutil.disk_usage(directory).free // MIB
    if free < needed:
        raise NoSpace(
            f"The run needs {_gib(needed)} below {directory}, and {_gib(free)} are free. Make room, or take fewer "
            f"cases (ONLY=ingest,egress), or smaller files (LARGEST=4 is 4 GiB at most; SIZE=256 shrinks everything)."
        )


def _gib(mib: int) -> str:
    return f"{mib / GIB_IN_MIB:.1f} GiB"
