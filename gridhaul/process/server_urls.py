"""The URLs of MongoDB and Redis. They can switch TLS on, but not the verification of certificates off."""

import os
import re
from typing import Annotated
from urllib.parse import parse_qsl, urlencode, urlsplit

from pydantic import AfterValidator, SecretStr

UNVERIFIED = "must not switch off the verification of certificates"
_MONGO_UNVERIFIED = re.compile(
    r"[?&;](tlsInsecure|tlsAllowInvalidCertificates|tlsAllowInvalidHostnames)=(?!false\b)", re.IGNORECASE
)


def _require_scheme(url: SecretStr, *schemes: str) -> None:
    if not url.get_secret_value().startswith(tuple(f"{scheme}://" for scheme in schemes)):
        raise ValueError(f"must begin with {' or '.join(f'{scheme}://' for scheme in schemes)}")


def _mongo_url(url: SecretStr) -> SecretStr:
    _require_scheme(url, "mongodb", "mongodb+srv")
    if _MONGO_UNVERIFIED.search(url.get_secret_value()):
        raise ValueError(UNVERIFIED)
    return url


def _redis_url(url: SecretStr) -> SecretStr:
    """Add `ssl_cert_reqs=required` to a `rediss://` URL without this option: Celery would verify no certificate."""
    _require_scheme(url, "redis", "rediss", "unix")
    parts = urlsplit(url.get_secret_value())
    if parts.scheme != "rediss":
        return url
    options = {"ssl_cert_reqs": "required", "ssl_check_hostname": "true"} | dict(parse_qsl(parts.query))
    if (options["ssl_cert_reqs"], options["ssl_check_hostname"].lower()) != ("required", "true"):
        raise ValueError(UNVERIFIED)
    if (file := options.get("ssl_ca_certs")) and not os.access(file, os.R_OK):
        raise ValueError(f"cannot read {file}, which ssl_ca_certs names")
    return SecretStr(parts._replace(query=urlencode(options)).geturl())


MongoUrl = Annotated[SecretStr, AfterValidator(_mongo_url)]
RedisUrl = Annotated[SecretStr, AfterValidator(_redis_url)]
