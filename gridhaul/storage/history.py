"""The history of a record. The write that makes an event true also adds the event, so that no event can be lost.

The same write sets `changed_at`, which clients' event streams are read by (`gridhaul.storage.events`).
"""

from typing import Any

from gridhaul.storage.connect import Document
from gridhaul.transfer.model import EVENTS_KEPT, FIRST_EVENTS_KEPT

WITHOUT_HISTORY: Document = {"history": 0}  # the projection of reads of many records, and of reads by workers
RECORDS_IN_LISTS: Document = {**WITHOUT_HISTORY, "stage.parts": 0}  # a delivery may have thousands of confirmed parts

_EVENTS: Document = {"$ifNull": ["$history", []]}
_NEXT_REVISION: Document = {"$add": [{"$ifNull": ["$revision", 0]}, 1]}
_FIRST: Document = {"$slice": ["$history", FIRST_EVENTS_KEPT]}
_LAST: Document = {"$slice": ["$history", FIRST_EVENTS_KEPT + 1 - EVENTS_KEPT]}  # all that are kept beside a new one
# Fields that say what is wrong with a record, in the order in which an event takes its code from them. A record may get
# or lose an error without a change of its state: a check finds an object lost, a cleaning fails.
_ERRORS = ("error", "object_error", "cleaning_error")


def action_noted(who: str | None) -> Document:
    """Return expressions for the fields of a record to which an operator did something that left its state."""
    return _with_event({"state": "$state", "attempt": "$attempts"}, who)


def change_noted(written: Document, who: str | None) -> Document:
    """Return expressions for `history`, `revision` and `changed_at` of a record whose fields become `written`.

    `written` has an expression for `state`. The record gets an event if the write changes its state, counts another
    attempt, or changes the code of an error.
    """
    attempt = written.get("attempts", "$attempts")
    codes = {name: _code_of(written[name]) for name in _ERRORS if name in written}
    event = {"state": written["state"], "attempt": attempt}
    if codes:
        event["code"] = _first_of([*codes.values()])
    others = [{"$ne": [f"${name}.code", code]} for name, code in codes.items()]
    changed = {"$or": [{"$ne": ["$state", written["state"]]}, {"$ne": ["$attempts", attempt]}, *others]}
    return {name: {"$cond": [changed, then, f"${name}"]} for name, then in _with_event(event, who).items()}


def _code_of(error: Any) -> Document:
    """Return an expression for the code of the error that an expression gives; it has no value if there is no error."""
    return {"$let": {"vars": {"error": error}, "in": "$$error.code"}}


def _first_of(codes: list[Document]) -> Document:
    """Return an expression for the first of the codes that has a value; it has no value if none has one."""
    return codes[0] if len(codes) == 1 else {"$ifNull": [*codes, "$$REMOVE"]}


def _with_event(event: Document, who: str | None) -> Document:
    added: list[Any] = [{"time": "$$NOW", **event, "revision": _NEXT_REVISION}]
    if who is not None:
        added[0]["who"] = {"$literal": who}
    full = {"$gte": [{"$size": _EVENTS}, EVENTS_KEPT]}
    grown = {"$cond": [full, {"$concatArrays": [_FIRST, _LAST, added]}, {"$concatArrays": [_EVENTS, added]}]}
    return {"history": grown, "revision": _NEXT_REVISION, "changed_at": "$$NOW"}
