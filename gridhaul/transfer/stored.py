"""The end of storing: the fields of the record of a STORED file, and the comparison with the digest a client named."""

from gridhaul.transfer.errors import UploadDigestMismatch
from gridhaul.transfer.model import File, Seal
from gridhaul.transfer.states import Layout


def fields_of_stored(seal: Seal, layout: Layout) -> dict[str, object]:
    """Return the fields of a stored file's record."""
    return {
        "sha256": seal.sha256,
        "manifest_root": seal.manifest_root,
        "layout": layout,
        "stored_bytes": seal.length,
        "checked_bytes": 0,
        "fruitless_attempts": 0,
    }


def names_another_digest(file: File, seal: Seal) -> bool:
    """Return whether the client of an upload named another digest than the bytes have."""
    return file.upload is not None and file.upload.sha256 not in (None, seal.sha256)


def require_named_digest(file: File, seal: Seal) -> None:
    """Raise UploadDigestMismatch if the client of an upload named another digest than the bytes have."""
    if names_another_digest(file, seal):
        raise UploadDigestMismatch(
            f"The bytes have the SHA-256 {seal.sha256}, which is not the one that was named; upload the file again."
        )
