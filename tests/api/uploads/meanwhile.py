"""A port before one of whose calls something else happens, such as another request for the same upload."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from api.uploads.holding import Holdings
from api.uploads.parts import UploadParts

Happens = Callable[[], Awaitable[object]]


class Meanwhile:
    """A replacement for any port. `happens` is awaited before the first call of the method."""

    def __init__(self, port: Any, method: str, happens: Happens) -> None:
        self._port = port
        self._method = method
        self._happens: list[Happens] = [happens]

    def __getattr__(self, name: str) -> Any:
        inner = getattr(self._port, name)
        if name != self._method:
            return inner

        async def call(*arguments: Any, **named: Any) -> Any:
            if self._happens:
                await self._happens.pop()()
            return await inner(*arguments, **named)

        return call


def interrupted(parts: UploadParts, call: str, happens: Happens) -> UploadParts:
    """Return the parts of a process in which something happens before its first call, such as `chunks.put`."""
    name, _, method = call.partition(".")
    changed: Any = {name: Meanwhile(getattr(parts, name), method, happens)}
    parts = replace(parts, **changed)
    return replace(parts, holdings=Holdings(parts.registry, parts.contents))
