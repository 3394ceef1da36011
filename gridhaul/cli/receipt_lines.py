"""The lines of `gridhaul status` about a receipt, with the meaning of its evidence."""

from collections.abc import Mapping

from gridhaul.cli.times import shown_time
from gridhaul.client.records import ReceiptRecord
from gridhaul.transfer.model import CheckedWhen, Evidence

MEANINGS: Mapping[str, str] = {
    Evidence.READ_BACK: "the object was read back from the target, and its SHA-256 was compared",
    Evidence.REMOTE_DIGEST: "the target told the object's digest, and the digest was compared",
    Evidence.PART_DIGESTS: "the target compared the digest of each part, and was seen to refuse wrong ones",
    Evidence.SIZE: "only the length of the object was compared",
    Evidence.ACKNOWLEDGED: "the target took the bytes, and cannot tell what it holds",
}


def receipt_lines(receipt: ReceiptRecord) -> list[str]:
    attempts = "1 attempt" if receipt["attempts"] == 1 else f"{receipt['attempts']} attempts"
    return [
        f"  receipt   delivered {shown_time(receipt['delivered_at'])}, after {attempts}",
        f"    location  {receipt['location']}",
        f"    length    {receipt['length']} bytes",
        f"    sha-256   {receipt['sha-256']}",
        *_attribute_lines(receipt),
        f"    commit    {_commit(receipt)}",
        f"    evidence  {receipt['evidence']}: {MEANINGS.get(receipt['evidence'], 'see the documentation')}",
        *_sent_lines(receipt),
    ]


def _commit(receipt: ReceiptRecord) -> str:
    if not receipt["atomic_commit"]:
        return "not atomic: the object was written straight to its name"
    before = receipt["checked"] in (None, CheckedWhen.BEFORE_COMMIT)  # older receipts have only such objects
    how = "once it was checked" if before else "and was checked under that name"
    return f"atomic: the object got its name as a whole, {how}{_exclusive(receipt)}"


def _exclusive(receipt: ReceiptRecord) -> str:
    abilities = receipt["abilities"]
    if abilities is None or abilities["exclusive"]:
        return ""
    return "; an object that took the name in the last moment would have been replaced"


def _sent_lines(receipt: ReceiptRecord) -> list[str]:
    sent = receipt["sent_in_attempts"]
    if len(sent) < 2:
        return []
    again = max(0, sum(sent) - receipt["length"])
    return [f"    sent      {' + '.join(map(str, sent))} bytes in {len(sent)} attempts, {again} of them again"]


def _attribute_lines(receipt: ReceiptRecord) -> list[str]:
    mtime, mode = receipt["mtime"], receipt["mode"]
    return [
        *([f"    mtime     {shown_time(mtime)}{_kept(receipt['mtime_kept'])}"] if mtime else []),
        *([f"    mode      {mode}{_kept(receipt['mode_kept'])}"] if mode else []),
    ]


def _kept(kept: bool) -> str:
    return " (the object has it, too)" if kept else " (of the source alone)"
