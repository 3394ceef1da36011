"""`/healthz` tells whether the process answers, `/readyz` whether everything that the process needs answers too."""

from collections.abc import Awaitable, Callable, Mapping

from fastapi import APIRouter, Response

from gridhaul.transfer.errors import GridhaulError

Check = Callable[[], Awaitable[None]]


def health_routes(checks: Callable[[], Mapping[str, Check]]) -> APIRouter:
    """Return both routes. `checks` returns named checks; each raises a GridhaulError while its part is not ready."""
    router = APIRouter(tags=["health"])

    @router.get("/healthz", summary="Check whether the process is alive")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @router.get(
        "/readyz",
        summary="Check whether everything that the process needs answers",
        responses={503: {"model": dict[str, str], "description": "At least one part does not answer"}},
    )
    async def readyz(response: Response) -> dict[str, str]:
        states = {name: await _state(check) for name, check in checks().items()}
        if set(states.values()) != {"ok"}:
            response.status_code = 503
        return states

    return router


async def _state(check: Check) -> str:
    try:
        await check()
    except GridhaulError as error:
        return error.code
    return "ok"
