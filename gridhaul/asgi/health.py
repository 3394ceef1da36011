"""`/healthz`: the process answers. `/readyz`: what it needs answers too."""

from collections.abc import Awaitable, Callable, Mapping

from fastapi import APIRouter, Response

from gridhaul.transfer.errors import GridhaulError

Check = Callable[[], Awaitable[None]]


def health_routes(checks: Callable[[], Mapping[str, Check]]) -> APIRouter:
    """Routes over named checks, each of which raises a GridhaulError when its part is not ready."""
    router = APIRouter(tags=["health"])

    @router.get("/healthz", summary="Whether the process is alive")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @router.get(
        "/readyz",
        summary="Whether everything that the process needs answers",
        responses={503: {"model": dict[str, str], "description": "Something does not answer"}},
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
