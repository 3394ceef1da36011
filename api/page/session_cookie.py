"""The cookie that keeps the refresh token of a browser's session, where no script can read it (RFC 6265)."""

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self
from urllib.parse import urlsplit

from fastapi import Request, Response

from api.login import Login

PATH = "/auth/session"
NAME = "gridhaul"
SECURE_NAME = "__Secure-gridhaul"  # a browser takes a cookie of this prefix only over https, and only with `Secure`


@dataclass(frozen=True, kw_only=True, slots=True)
class SessionCookie:
    """The cookie's name and attributes, which follow from the address at which the browser sees the service."""

    path: str
    secure: bool

    @classmethod
    def at(cls, base_address: str, *, scheme: str) -> Self:
        """`base_address` is what every absolute address of the service begins with, `scheme` that of the request."""
        base = urlsplit(base_address)
        return cls(path=base.path.rstrip("/") + PATH, secure="https" in (scheme, base.scheme))

    @property
    def name(self) -> str:
        return SECURE_NAME if self.secure else NAME

    def token_in(self, request: Request) -> str:
        """Return the refresh token that the request's cookie holds, or "" if there is none."""
        return request.cookies.get(self.name, "")

    def keep(self, login: Login, response: Response) -> None:
        """Let the browser keep the login's refresh token for as long as the session lasts."""
        left = login.session.expires_at - datetime.now(UTC)
        self._set(response, login.refresh_token.text, max_age_seconds=math.ceil(left.total_seconds()))

    def clear(self, response: Response) -> None:
        """Let the browser forget the cookie."""
        self._set(response, "", max_age_seconds=0)

    def _set(self, response: Response, value: str, *, max_age_seconds: int) -> None:
        response.set_cookie(
            self.name,
            value,
            max_age=max_age_seconds,
            path=self.path,
            secure=self.secure,
            httponly=True,
            samesite="strict",
        )
