"""The section of `targets.toml` for an S3 server."""

from collections.abc import Callable
from ipaddress import ip_address
from itertools import chain
from typing import Annotated, Literal, Self

import httpx2
from pydantic import AfterValidator, Field, model_validator

from gridhaul.process.settings import SettingsError
from gridhaul.targets.http_session import HttpSession
from gridhaul.targets.s3.bucket import Bucket
from gridhaul.targets.s3.keys import key_of
from gridhaul.targets.s3.signing import S3Auth
from gridhaul.targets.s3.target import S3Target, s3_fingerprint
from gridhaul.targets.section import CredentialSource, NewClient, StagedSection, WebAddress, secret
from gridhaul.transfer.errors import TargetRefused
from gridhaul.transfer.ports.targets import Target

_HEADER_VALUE = r"^[\x21-\x7e]+$"


def _folder(value: str) -> str:
    """Return the prefix with a `/` at its end; "" stays as it is."""
    if not value:
        return ""
    try:
        return f"{key_of('', value.removesuffix('/'))}/"
    except TargetRefused as error:
        raise ValueError("must be names of folders with '/' between them") from error


class S3Section(StagedSection):
    kind: Literal["s3"]
    endpoint: WebAddress
    bucket: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]$")
    prefix: Annotated[str, AfterValidator(_folder)] = ""
    region: str = Field("us-east-1", pattern=r"^[A-Za-z0-9-]{1,64}$")
    addressing: Literal["path", "virtual"] = "path"
    access_key_id: CredentialSource
    secret_access_key: CredentialSource
    session_token: CredentialSource | None = None
    sse: Literal["AES256", "aws:kms", "aws:kms:dsse"] | None = None
    kms_key_id: str | None = Field(None, pattern=_HEADER_VALUE)
    storage_class: str | None = Field(None, pattern=r"^[A-Z0-9_]{1,64}$")

    @model_validator(mode="after")
    def _key_of_a_service(self) -> Self:
        if self.kms_key_id is not None and self.sse in (None, "AES256"):
            raise ValueError('kms_key_id needs sse = "aws:kms" or "aws:kms:dsse"')
        return self

    @model_validator(mode="after")
    def _name_before_the_host(self) -> Self:
        if self.addressing == "virtual" and _is_ip_address(httpx2.URL(self.endpoint).host):
            raise ValueError('addressing = "virtual" needs an endpoint with a host name')
        return self

    def maker(self, name: str, new_client: NewClient, *, answer_seconds: float) -> Callable[[], Target]:
        access_key_id = _sent("access_key_id", self.access_key_id)
        secret_access_key = secret("secret_access_key", self.secret_access_key)
        session_token = None if self.session_token is None else _sent("session_token", self.session_token)

        def make() -> S3Target:
            auth = S3Auth(
                access_key_id=access_key_id,
                secret_access_key=secret_access_key,
                session_token=session_token,
                region=self.region,
            )
            session = HttpSession(new_client(), url=self._bucket_url(), authorization=None, auth=auth)
            return S3Target(
                name=name,
                session=session,
                bucket=Bucket(session, prefix=self.prefix, create_headers=self._create_headers()),
                auth=auth,
                settings=self._settings(),
                allow_overwrite_race=self.allow_overwrite_race,
            )

        return make

    def fingerprint(self) -> str:
        return s3_fingerprint(self._bucket_url(), self._settings())

    def _settings(self) -> tuple[str, ...]:
        """Return what decides what a probe sees, beside the bucket. Of a credential it is the place, not the value."""
        return (self.prefix, *chain(*self.access_key_id.items()), self.region, *self._create_headers().values())

    def _bucket_url(self) -> str:
        endpoint = self.endpoint.rstrip("/")
        if self.addressing == "path":
            return f"{endpoint}/{self.bucket}"
        url = httpx2.URL(endpoint)
        return str(url.copy_with(host=f"{self.bucket}.{url.host}")).rstrip("/")

    def _create_headers(self) -> dict[str, str]:
        given = {
            "x-amz-server-side-encryption": self.sse,
            "x-amz-server-side-encryption-aws-kms-key-id": self.kms_key_id,
            "x-amz-storage-class": self.storage_class,
        }
        return {header: value for header, value in given.items() if value is not None}


def _is_ip_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _sent(key: str, source: CredentialSource) -> str:
    """Return the credential, which is sent in a header. Raises SettingsError."""
    value = secret(key, source)
    if not value.isascii() or " " in value:
        raise SettingsError(f"{key}: holds characters that it cannot have")
    return value
