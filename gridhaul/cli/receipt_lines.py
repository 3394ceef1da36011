"""The lines of `gridhaul status` about a receipt, with the meaning of its evidence."""

from collections.abc import Mapping

from gridhaul.cli.times import shown_time
from gridhaul.client.records import ReceiptRecord
from gridhaul.transfer.model import Evidence

MEANINGS: Mapping[str, str] = {
    Evidence.READ_BACK: "the object was read back from the target, and its SHA-256 was compared",
    Evidence.REMOTE_DIGEST: "the target told the object's digest, and the digest was compared",
    Evidence.SIZE: "only the length of the object was compared",
    Evidence.ACKNOWLEDGED: "the target took the bytes, and cannot tell what it holds",
}


def receipt_lines(receipt: ReceiptRecord) -> list[str]:
    atomic = "renamed once it was checked" if receipt["atomic_commit"] else "written straight to its name"
    attempts = "1 attempt" if receipt["attempts"] == 1 else f"{receipt['attempts']} attempts"
    return [
        f"  receipt   delivered {shown_time(receipt['delivered_at'])}, after {attempts}",
        f"    location  {receipt['location']}",
        f"    length    {receipt['length']} bytes",
        f"    sha-256   {receipt['sha-256']}",
        *_attribute_lines(receipt),
        f"    commit    {'atomic' if receipt['atomic_commit'] else 'not atomic'}: the object was {atomic}",
        f"    evidence  {receipt['evidence']}: {MEANINGS.get(receipt['evidence'], 'see the documentation')}",
    ]


def _attribute_lines(receipt: ReceiptRecord) -> list[str]:
    mtime, mode = receipt["mtime"], receipt["mode"]
    return [
        *([f"    mtime     {shown_time(mtime)}{_kept(receipt['mtime_kept'])}"] if mtime else []),
        *([f"    mode      {mode}{_kept(receipt['mode_kept'])}"] if mode else []),
    ]


def _kept(kept: bool) -> str:
    return " (the object has it, too)" if kept else " (of the source alone)"
