"""A reader of server errors in a service's log: bad input never causes one."""

import json
from pathlib import Path

EXPECTED = (503, 507)  # the service is busy; the quota or the disk is full


def server_errors(log: Path, *, since_byte: int = 0) -> list[str]:
    """Return the lines of the log, from byte `since_byte` on, that report a server error or an exception."""
    lines = log.read_bytes()[since_byte:].decode(errors="replace").splitlines()
    return [line for line in lines if "Traceback" in line or _is_error(line)]


def _is_error(line: str) -> bool:
    try:
        entry = json.loads(line)
    except ValueError:
        return False
    if not isinstance(entry, dict):
        return False
    return entry.get("event") == "unexpected_error" or _failed(entry.get("status"))


def _failed(status: object) -> bool:
    return isinstance(status, int) and (status == 0 or status >= 500) and status not in EXPECTED
