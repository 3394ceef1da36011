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


def names_another_digest(file: File, seal: Seal, *, md5: str | None = None) -> bool:
    """Return whether the client of an upload named another digest than the bytes have.

    `md5` is that of the bytes. None: it was not computed, which is possible only if the client has named none.
    """
    upload = file.upload
    return upload is not None and (upload.sha256 not in (None, seal.sha256) or upload.md5 not in (None, md5))


def require_named_digest(file: File, seal: Seal, *, md5: str | None = None) -> None:
    """Raise UploadDigestMismatch if the client of an upload named another digest than the bytes have.

    `md5` as in `names_another_digest`.
    """
    if names_another_digest(file, seal, md5=md5):
        raise UploadDigestMismatch(
            f"The bytes have the SHA-256 {seal.sha256}; their digest is not the one that was named, so upload the file "
            "again."
        )
