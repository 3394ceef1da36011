"""The limit of open files of this process. Connections count as open files."""

import resource
from contextlib import suppress


def raise_open_file_limit() -> None:
    """Raise the limit as far as the process may: to the hard limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # the kernel's own limit (fs.nr_open) may be lower than the hard limit
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def open_file_limit() -> float:
    """Return how many files this process may have open at once."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return float("inf") if soft == resource.RLIM_INFINITY else soft
