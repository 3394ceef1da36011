"""Certificate authorities for tests, and the certificates that they sign."""

from dataclasses import dataclass
from pathlib import Path

import trustme


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """The PEM files of a server's certificate, and of the authority that signed it."""

    chain: Path
    key: Path
    key_and_chain: Path
    ca_file: Path


def new_certificate(directory: Path, *names: str) -> Certificate:
    """Make a certificate for these host names or addresses, signed by a new authority, in the new `directory`."""
    directory.mkdir()
    authority = trustme.CA()
    issued = authority.issue_cert(*names)
    certificate = Certificate(
        chain=directory / "chain.pem",
        key=directory / "key.pem",
        key_and_chain=directory / "both.pem",
        ca_file=directory / "ca.pem",
    )
    issued.cert_chain_pems[0].write_to_path(certificate.chain)
    issued.private_key_pem.write_to_path(certificate.key)
    issued.private_key_and_cert_chain_pem.write_to_path(certificate.key_and_chain)
    authority.cert_pem.write_to_path(certificate.ca_file)
    return certificate
