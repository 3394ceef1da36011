"""`/targets`: the configured targets, what they were seen to do, and a request to look again."""

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Self

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, Field

from api.auth import Finalizing, Reading
from api.dependencies import ServiceDep
from api.obstacles import Obstacles
from api.schemas import LOCATION, AbilitiesView, FailureView, Waiting
from gridhaul.asgi.bounded_route import BoundedRoute
from gridhaul.transfer.known_targets import TargetDefinition, TargetRecord, TargetState
from gridhaul.transfer.model import Hint, TaskName

router = APIRouter(prefix="/targets", tags=["targets"], route_class=BoundedRoute)

Name = Annotated[str, Path(min_length=1, max_length=64, description="The target's name in the targets file")]


class TargetView(BaseModel):
    name: str
    kind: str = Field(description="The target's kind in the targets file, such as `webdav`")
    allow_overwrite_race: bool | None = Field(
        description="The target's setting: whether deliveries that must not replace an object are made although the "
        "target is not `exclusive`; null: this kind writes straight to the final name, and has no such setting"
    )
    state: TargetState = Field(
        description="`WAITING` for the next probe, `PROBING`, or `RETIRED`: another api has no such target"
    )
    abilities: AbilitiesView | None = Field(description="What the target was seen to do; null: it was not seen yet")
    seen_at: datetime | None = Field(description="When a probe succeeded last; null: none has")
    outdated: bool = Field(description="Whether the target has since done what `abilities` exclude")
    tried_at: datetime | None = Field(
        description="When the last probe ended that was due or asked for; null: it is still to come"
    )
    error: FailureView | None = Field(description="Why that probe failed; null: it succeeded, or is still to come")
    next_probe_at: datetime | None = Field(description="When the next probe is due; null: none is planned")
    waiting: Waiting
    links: dict[str, str]

    @classmethod
    def of(cls, target: TargetDefinition, record: TargetRecord | None, obstacles: Obstacles) -> Self:
        """Return what is shown of the target. Its record is None if somebody has removed it."""
        abilities = record.abilities if record else None
        path = f"/targets/{target.name}"
        return cls(
            name=target.name,
            kind=target.kind,
            allow_overwrite_race=target.allow_overwrite_race,
            state=record.state if record else TargetState.WAITING,
            abilities=AbilitiesView(**asdict(abilities)) if abilities else None,
            seen_at=record.seen_at if record else None,
            outdated=record.outdated if record else False,
            tried_at=record.tried_at if record else None,
            error=FailureView.of(record.error) if record else None,
            next_probe_at=record.next_attempt_at if record else None,
            waiting=FailureView.of(obstacles.of_target(record)) if record else None,
            links={"self": path, "probe": f"{path}/probe"},
        )


class TargetsView(BaseModel):
    targets: list[TargetView]


@router.get("", summary="List the targets that you may use, by name")
async def list_targets(caller: Reading, service: ServiceDep) -> TargetsView:
    """List the configured targets that the account may use, with what a worker saw each of them do.

    Workers probe each target with small objects of their own, once a day, and after a target did what was seen to be
    impossible.
    """
    targets = service.targets.of(caller)
    records = await service.targets.records(targets)
    shown = (TargetView.of(target, records.get(target.fingerprint), service.obstacles) for target in targets)
    return TargetsView(targets=list(shown))


@router.get("/{target_name}", summary="Get one target")
async def get_target(target_name: Name, caller: Reading, service: ServiceDep) -> TargetView:
    service.check_target(caller, target_name)
    target = service.targets[target_name]
    record = (await service.targets.records([target])).get(target.fingerprint)
    return TargetView.of(target, record, service.obstacles)


@router.post("/{target_name}/probe", status_code=202, summary="Test a target now", responses={202: LOCATION})
async def probe_target(target_name: Name, response: Response, caller: Finalizing, service: ServiceDep) -> TargetView:
    """Let a worker probe the target now. A probe that is under way is stopped and begun anew.

    In the answer, `tried_at` is null. It has a time again once the probe has ended, and `error` says how.
    """
    service.check_target(caller, target_name)
    record = await service.targets.test(target_name)
    service.hints.offer(Hint(task=TaskName.PROBE_TARGET, record_id=record.id, queue=record.queue))
    response.headers["Location"] = f"/targets/{target_name}"
    return TargetView.of(service.targets[target_name], record, service.obstacles)
