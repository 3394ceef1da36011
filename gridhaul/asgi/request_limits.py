"""Limits on the size and the duration of a request, from the service's settings."""

from dataclasses import dataclass
from typing import Self

from gridhaul.process.settings import WebSettings


@dataclass(frozen=True, kw_only=True, slots=True)
class RequestLimits:
    """Limits of a request, in `app.state.request_limits` because settings are known only when the service starts."""

    header_bytes: int  # all headers together
    body_bytes: int  # a body of JSON or a form
    json_depth: int
    stall_seconds: float

    @classmethod
    def of(cls, settings: WebSettings) -> Self:
        return cls(
            header_bytes=settings.max_header_bytes,
            body_bytes=settings.max_body_bytes,
            json_depth=settings.max_json_depth,
            stall_seconds=settings.stall_seconds,
        )
