"""The lines of `gridhaul status` that tell what happened to a record, newest last."""

from collections.abc import Sequence

from gridhaul.cli.times import shown_time
from gridhaul.client.records import EventRecord

SHOWN_AT_MOST = 10


def timeline(history: Sequence[EventRecord]) -> list[str]:
    """Return a line for each of the newest events, below a line that counts the earlier ones."""
    shown = history[-SHOWN_AT_MOST:]
    if not shown:
        return []
    earlier = shown[0]["revision"] - 1
    hidden = [f"    {earlier} earlier; --json shows those that are kept"] if earlier else []
    rows = [(shown_time(event["time"]), event["state"], _notes(event)) for event in shown]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    lines = [f"    {time:{widths[0]}}  {state:{widths[1]}}{notes}".rstrip() for time, state, notes in rows]
    return ["  history", *hidden, *lines]


def _notes(event: EventRecord) -> str:
    attempt = f"attempt {event['attempt']}" if event["attempt"] else ""
    notes = (attempt, event["code"], f"by {event['who']}" if event["who"] else "")
    return "".join(f"  {note}" for note in notes if note)
