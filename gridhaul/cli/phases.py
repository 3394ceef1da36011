"""Says in words where a transfer is, and what it waits for."""

from datetime import datetime

from gridhaul.cli import text
from gridhaul.client import Transfer
from gridhaul.client.records import DeliveryRecord, FileRecord, known_length


def storing(file: FileRecord) -> str:
    """Return the file's state, or CHECKING while a source that was touched is read once more."""
    return "CHECKING" if file["state"] == "STORING" and file["checked_bytes"] else file["state"]


def stored_bytes(file: FileRecord) -> int:
    """Return the bytes that are stored, or that are read once more while the file is CHECKING."""
    if file["state"] == "STORED":
        return known_length(file)
    return file["checked_bytes"] if storing(file) == "CHECKING" else file["stored_bytes"]


def delivering(delivery: DeliveryRecord) -> str:
    """Return the delivery's state, or CHECKING when all bytes are sent and the target's object is being checked."""
    all_sent = delivery["state"] == "STREAMING" and delivery["sent_bytes"] == delivery["length"]
    return "CHECKING" if all_sent else delivery["state"]


def sent_bytes(delivery: DeliveryRecord) -> int:
    return delivery["length"] if delivery["state"] == "DELIVERED" else delivery["sent_bytes"]


def reading_back(delivery: DeliveryRecord) -> bool:
    """Return whether the target's object is being read back."""
    return delivery["state"] in ("STREAMING", "COMMITTING") and 0 < delivery["checked_bytes"] < delivery["length"]


def reason(transfer: Transfer) -> str:
    """Return why the transfer waits, from its current record; empty if it does not wait or is over."""
    if transfer.state == "PAUSED":
        return f"waiting: the transfer is paused; to go on: gridhaul resume {_id(transfer)}"
    waiting, error = transfer.current["waiting"], transfer.current["error"]
    if waiting and not (error and waiting["code"] == error["code"]):
        return f"waiting: {text.clause(waiting['detail'])}"
    if error and not transfer.over:
        return f"waiting: {error['code']}: {text.clause(error['detail'])}"
    return ""


def reason_code(transfer: Transfer) -> str:
    """Return the code of what the transfer waits for, else its reason.

    A display compares codes, because the detail of an obstacle holds seconds, which grow while the record waits.
    """
    return text.obstacle_code(transfer.current["waiting"]) or reason(transfer)


def next_attempt(transfer: Transfer) -> str:
    """Return `next attempt in 40 s`; empty if none is planned.

    The seconds are counted by the server's clock: the clock of this machine may be wrong.
    """
    planned, seen_at = transfer.current["next_attempt_at"], transfer.seen_at
    if planned is None or seen_at is None or not reason(transfer):
        return ""
    seconds = (datetime.fromisoformat(planned) - seen_at).total_seconds()
    return f"next attempt in {text.duration(seconds)}" if seconds >= 1 else "next attempt now"


def _id(transfer: Transfer) -> str:
    return transfer.delivery["delivery_id"] if transfer.delivery else transfer.file["file_id"]
