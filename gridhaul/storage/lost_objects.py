"""The fields of a delivery that is queued again although it was DELIVERED, because its object was found lost.

The delivery forgets all that it knew of the object. So whatever has the name now is not taken for its own, and its
progress is that of a new delivery. The receipt stays in the history.
"""

from gridhaul.storage.connect import Document
from gridhaul.storage.lease import GONE
from gridhaul.transfer.model import FORMER_RECEIPTS_KEPT

_WAS_DELIVERED: Document = {"$eq": [{"$type": "$receipt"}, "object"]}
_FORMER: Document = {
    "receipt": "$receipt",
    "ended_at": {"$ifNull": ["$ended_at", "$updated_at"]},  # older records have no `ended_at`
    "object_error": "$object_error",
}
_HISTORY: Document = {
    "$slice": [{"$concatArrays": [{"$ifNull": ["$former_receipts", []]}, [_FORMER]]}, -FORMER_RECEIPTS_KEPT]
}


def object_forgotten() -> Document:
    """Return expressions that clear what a delivery with a receipt knew of its object, and keep the receipt as former.

    They leave a delivery without a receipt as it is.
    """
    forgotten = ("receipt", "object_error", "final_name", "checked", "replaced")
    return {
        "former_receipts": {"$cond": [_WAS_DELIVERED, _HISTORY, "$former_receipts"]},
        **{name: {"$cond": [_WAS_DELIVERED, GONE, f"${name}"]} for name in forgotten},
        **{name: {"$cond": [_WAS_DELIVERED, 0, f"${name}"]} for name in ("sent_bytes", "sent_bytes_most")},
        "sent_in_attempts": {"$cond": [_WAS_DELIVERED, [], "$sent_in_attempts"]},
        "final_touched": {"$cond": [_WAS_DELIVERED, False, "$final_touched"]},
    }
