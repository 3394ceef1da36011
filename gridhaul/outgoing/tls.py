"""TLS as a client: which certificates are trusted, and why a connection was refused."""

import ssl
from pathlib import Path

import httpx2

from gridhaul.process.settings import SettingsError


def tls_context(ca_file: Path | None = None) -> ssl.SSLContext:
    """Make a context for clients: TLS 1.2 or newer, certificate and host name verified.

    `ca_file` is a PEM file of authorities to trust beside the system's.
    Raises SettingsError if the file cannot be read or holds no certificate.
    """
    context = httpx2.create_ssl_context(trust_env=False)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca_file is not None:
        try:
            context.load_verify_locations(cafile=ca_file)
        except ssl.SSLError:
            raise SettingsError(f"GRIDHAUL_CA_FILE: {ca_file} holds no certificate that can be read (PEM)") from None
        except OSError as error:
            raise SettingsError(f"GRIDHAUL_CA_FILE: cannot read {ca_file}: {error.strerror}") from None
    return context


def tls_refusal(error: BaseException) -> str | None:
    """Return why no secure connection can be made, if the client's error comes from that; else None."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            reason, _, _ = cause.verify_message.partition(",")  # the text after the comma names the host
            return f"its certificate is not accepted ({reason.rstrip('.')})"
        if isinstance(cause, ssl.SSLError) and cause.reason == "WRONG_VERSION_NUMBER":
            return "it does not speak TLS"
        cause = cause.__cause__ or cause.__context__
    return None
