"""What a service's log says of its own mistakes: input, however bad, is never one of them."""

import json
from pathlib import Path

WANTED = (503, 507)  # busy, and no room


def server_errors(log: Path, *, since_byte: int = 0) -> list[str]:
    """The lines of the log that tell of a server error or an exception."""
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
    return isinstance(status, int) and (status == 0 or status >= 500) and status not in WANTED
