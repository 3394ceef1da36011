"""`/healthz` tells whether the process answers, `/readyz` how the parts of the system are that the process needs."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping

from fastapi import APIRouter, Response

from gridhaul.transfer.errors import DatabaseUnavailable, GridhaulError

OK = "ok"
CHECK_SECONDS = 2.0
REUSED_SECONDS = 1.0

Check = Callable[[], Awaitable[None]]


class Health:
    """The states of named parts, looked at once a second at most, however many clients ask.

    A check raises a GridhaulError while its part is not as it should be. The process is ready while all `needed` parts
    are; `others` are only told: all processes share them, so a load balancer would take every process away at once.
    """

    def __init__(self, *, needed: Mapping[str, Check], others: Mapping[str, Check]) -> None:
        self._needed = frozenset(needed)
        self._checks = {**needed, **others}
        self._looking = asyncio.Lock()
        self._states: dict[str, str] = {}
        self._looked_at = -REUSED_SECONDS

    async def states(self) -> dict[str, str]:
        """Return the state of each part: `ok`, or the code of an error."""
        async with self._looking:
            if time.monotonic() - self._looked_at >= REUSED_SECONDS:
                found = await asyncio.gather(*map(_state, self._checks.values()))
                self._states = dict(zip(self._checks, found, strict=True))
                self._looked_at = time.monotonic()
            return self._states

    def ready(self, states: Mapping[str, str]) -> bool:
        return all(states[name] == OK for name in self._needed)


def health_routes(health: Callable[[], Health]) -> APIRouter:
    """Return both routes. `health` returns the states to tell."""
    router = APIRouter(tags=["health"])

    @router.get("/healthz", summary="Check whether the process is alive")
    async def healthz() -> dict[str, str]:
        return {"status": OK}

    @router.get(
        "/readyz",
        summary="Check whether the process can answer, and what keeps work from going on",
        responses={503: {"model": dict[str, str], "description": "MongoDB does not answer this process"}},
    )
    async def readyz(response: Response) -> dict[str, str]:
        """Return `ok` or the code of an error for each part. Only MongoDB's parts make the status 503."""
        states = await health().states()
        if not health().ready(states):
            response.status_code = 503
        return states

    return router


async def _state(check: Check) -> str:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            await check()
    except GridhaulError as error:
        return error.code
    except TimeoutError:
        return DatabaseUnavailable.code  # only MongoDB is waited for longer; other checks bound their waits themselves
    return OK
