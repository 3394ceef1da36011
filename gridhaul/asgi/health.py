"""`/healthz` reports that the process answers. `/readyz` reports the state of each part, and answers 503 while a part
that this process needs is unavailable.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping

from fastapi import APIRouter, Response

from gridhaul.transfer.errors import DatabaseUnavailable, GridhaulError

OK = "ok"
DATABASE_SECONDS = 2.0
REUSED_SECONDS = 1.0

PartCheck = Callable[[], Awaitable[None]]


def database_check(ask: PartCheck) -> PartCheck:
    """Return a check that calls `ask`, which waits for MongoDB alone.

    The check raises DatabaseUnavailable if `ask` takes longer than DATABASE_SECONDS.
    """

    async def check() -> None:
        try:
            async with asyncio.timeout(DATABASE_SECONDS):
                await ask()
        except TimeoutError as error:
            raise DatabaseUnavailable("The database does not answer.") from error

    return check


class Health:
    """The states of named parts. All requests within a second share one round of checks.

    A check bounds its own waits, and raises a GridhaulError while its part is unavailable. The process is ready while
    all `needed` parts are available. The `others` do not decide that: all processes of the service share them, so a
    load balancer would stop sending requests to every process at once.
    """

    def __init__(
        self,
        *,
        needed: Mapping[str, PartCheck],
        others: Mapping[str, PartCheck],
        notes: Callable[[], Mapping[str, str | int]] = dict,
    ) -> None:
        """`notes` returns what `/readyz` reports besides the states, by a name that no part has."""
        self._needed = frozenset(needed)
        self._checks = {**needed, **others}
        self.notes = notes
        self._checking = asyncio.Lock()
        self._states: dict[str, str] = {}
        self._checked_at = -REUSED_SECONDS

    async def states(self) -> dict[str, str]:
        """Return the state of each part: `ok`, or the code of an error."""
        async with self._checking:
            if time.monotonic() - self._checked_at >= REUSED_SECONDS:
                states = await asyncio.gather(*map(_state, self._checks.values()))
                self._states = dict(zip(self._checks, states, strict=True))
                self._checked_at = time.monotonic()
            return self._states

    def ready(self, states: Mapping[str, str]) -> bool:
        return all(states[name] == OK for name in self._needed)


def health_routes(health: Callable[[], Health]) -> APIRouter:
    """Return both routes. `health` returns the states that `/readyz` reports."""
    router = APIRouter(tags=["health"])

    @router.get("/healthz", summary="Check whether the process is alive")
    async def healthz() -> dict[str, str]:
        return {"status": OK}

    @router.get(
        "/readyz",
        summary="Check whether the process can answer, and which parts of the system are unavailable",
        responses={
            503: {
                "model": dict[str, str | int],
                "description": "MongoDB does not answer this process, or its indexes or collections are not made yet",
            }
        },
    )
    async def readyz(response: Response) -> dict[str, str | int]:
        """Return `ok` or the code of an error for each part. Only MongoDB's own parts make the status 503.

        The notes follow the parts.
        """
        states = await health().states()
        if not health().ready(states):
            response.status_code = 503
        return {**states, **health().notes()}

    return router


async def _state(check: PartCheck) -> str:
    try:
        await check()
    except GridhaulError as error:
        return error.code
    return OK
