"""Formats times: local and short on a terminal, elsewhere as the api writes them, which is ISO 8601 with the zone."""

import sys
from datetime import datetime

from gridhaul.cli.text import duration


def shown_time(time: str) -> str:
    """Return a time of the api as stdout shows it: local and short on a terminal, elsewhere unchanged."""
    return short_time(time, now=local_now()) if sys.stdout.isatty() else time


def short_time(time: str, *, now: datetime) -> str:
    """Return a time such as `today 14:03`, or `2026-11-21 14:03` for another day, in the zone of `now`."""
    local = datetime.fromisoformat(time).astimezone(now.tzinfo)
    return f"today {local:%H:%M}" if local.date() == now.date() else f"{local:%Y-%m-%d %H:%M}"


def attempt_clause(next_attempt_at: str, *, now: datetime) -> str:
    """Return a clause such as `next attempt in 3 min 20 s (14:05)`. A time that has come means `now`."""
    at = datetime.fromisoformat(next_attempt_at).astimezone(now.tzinfo)
    seconds = (at - now).total_seconds()
    return f"next attempt in {duration(seconds)} ({at:%H:%M})" if seconds >= 1 else "next attempt now"


def local_now() -> datetime:
    return datetime.now().astimezone()
