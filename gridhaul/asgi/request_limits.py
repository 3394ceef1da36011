"""How much of a request a service takes, from its settings."""

from dataclasses import dataclass
from typing import Self

from gridhaul.process.settings import WebSettings


@dataclass(frozen=True, kw_only=True, slots=True)
class RequestLimits:
    """In `app.state.request_limits`, since settings are known only when the service starts."""

    header_bytes: int
    body_bytes: int  # of JSON and forms
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
