"""Tells whether permissions keep this process out: they usually do not keep `root` out."""

import re
from pathlib import Path

CAP_DAC_OVERRIDE = 1  # the number of the bit; see capabilities(7)


def reads_everything() -> bool:
    """Return whether the process may read and write files whatever their permissions say."""
    status = re.search(r"^CapEff:\s*([0-9a-f]+)$", Path("/proc/self/status").read_text(), re.MULTILINE)
    return status is not None and bool(int(status[1], 16) >> CAP_DAC_OVERRIDE & 1)
