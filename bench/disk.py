"""Whether the disk has room for what will be stored."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from bench.case import Case
from bench.errors import NoSpace
from bench.scale import GIB_IN_MIB, MIB, Scale

KEPT_FREE_MIB = 2 * GIB_IN_MIB + 512  # Gridhaul leaves 1 GiB free; the journal and the binaries' own files
GROWTH = 1.1  # of the database's files over what is in them


def needed_mib(cases: Sequence[Case], scale: Scale) -> int:
    """The sources, and the most that is stored at once."""
    return scale.sources_mib + round(GROWTH * max(case.stored_mib(scale) for case in cases)) + KEPT_FREE_MIB


def check_space(directory: Path, cases: Sequence[Case], scale: Scale) -> None:
    """Raises NoSpace."""
    needed, free = needed_mib(cases, scale), shutil.disk_usage(directory).free // MIB
    if free < needed:
        raise NoSpace(
            f"This needs {_gib(needed)} below {directory}, and {_gib(free)} are free. Make room, or take fewer cases "
            f"(ONLY=ingest,egress), or smaller files (LARGEST=4 is 4 GiB at most; SIZE=256 shrinks everything)."
        )


def _gib(mib: int) -> str:
    return f"{mib / GIB_IN_MIB:.1f} GiB"
