"""Header fields that a request may have only once: of two, a proxy and this service could each use a different one."""

from starlette.types import Scope

from gridhaul.transfer.errors import Malformed

SINGLE_FIELDS = frozenset(
    {
        b"authorization",
        b"content-digest",
        b"content-disposition",
        b"content-encoding",
        b"content-length",
        b"content-range",
        b"content-sha256",
        b"content-type",
        b"expect",
        b"host",
        b"idempotency-key",
        b"if-match",
        b"if-modified-since",
        b"if-none-match",
        b"if-range",
        b"if-unmodified-since",
        b"last-event-id",
        b"lease-fence",
        b"range",
        b"repr-digest",
        b"transfer-encoding",
        b"tus-resumable",
        b"upload-checksum",
        b"upload-complete",
        b"upload-concat",
        b"upload-defer-length",
        b"upload-length",
        b"upload-metadata",
        b"upload-offset",
        b"x-http-method-override",
    }
)


def refusal_of_fields(scope: Scope) -> Malformed | None:
    """Return the error if the request repeats one of SINGLE_FIELDS or has no Host (RFC 9112, 3.2), else None."""
    names = [name for name, _ in scope["headers"] if name in SINGLE_FIELDS]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        return Malformed(f"The header field {twice.decode().title()} may occur only once.")
    if b"host" not in names and scope["http_version"] == "1.1":
        return Malformed("The header field Host is required.")
    return None
