"""The history of a record. The write that makes an event true also adds the event, so that no event can be lost."""

from typing import Any

from gridhaul.storage.connect import Document
from gridhaul.transfer.model import EVENTS_KEPT, FIRST_EVENTS_KEPT

WITHOUT_HISTORY: Document = {"history": 0}  # the projection of reads of many records, and of reads by workers

_EVENTS: Document = {"$ifNull": ["$history", []]}
_NEXT_REVISION: Document = {"$add": [{"$ifNull": ["$revision", 0]}, 1]}
_FIRST: Document = {"$slice": ["$history", FIRST_EVENTS_KEPT]}
_LAST: Document = {"$slice": ["$history", FIRST_EVENTS_KEPT + 1 - EVENTS_KEPT]}  # all that are kept beside a new one


def action_noted(who: str | None) -> Document:
    """Return expressions for the fields of a record to which an operator did something that left its state."""
    return _with_event({"state": "$state", "attempt": "$attempts"}, who)


def change_noted(written: Document, who: str | None) -> Document:
    """Return expressions for `history` and `revision` of a record whose fields become `written`.

    `written` has an expression for `state`. The record gets an event if the write changes its state, or counts another
    attempt.
    """
    attempt = written.get("attempts", "$attempts")
    event = {"state": written["state"], "attempt": attempt}
    if "error" in written:
        event["code"] = {"$let": {"vars": {"error": written["error"]}, "in": "$$error.code"}}
    changed = {"$or": [{"$ne": ["$state", written["state"]]}, {"$ne": ["$attempts", attempt]}]}
    return {name: {"$cond": [changed, then, f"${name}"]} for name, then in _with_event(event, who).items()}


def _with_event(event: Document, who: str | None) -> Document:
    added: list[Any] = [{"time": "$$NOW", **event, "revision": _NEXT_REVISION}]
    if who is not None:
        added[0]["who"] = {"$literal": who}
    full = {"$gte": [{"$size": _EVENTS}, EVENTS_KEPT]}
    grown = {"$cond": [full, {"$concatArrays": [_FIRST, _LAST, added]}, {"$concatArrays": [_EVENTS, added]}]}
    return {"history": grown, "revision": _NEXT_REVISION}
