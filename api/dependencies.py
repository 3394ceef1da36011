"""What the routes of the api are given."""

from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Annotated

from fastapi import Depends, Path, Query, Request

from api.authenticator import Authenticator
from api.open_file_limit import OpenFileLimit
from api.password_attempts import PasswordAttempts
from api.rate_limits import RateLimits
from gridhaul.asgi.concurrency_limit import ConcurrencyLimit
from gridhaul.asgi.readiness import Readiness
from gridhaul.identity.passwords import Passwords
from gridhaul.storage.accounts.accounts import MongoAccounts
from gridhaul.storage.checking.checks import MongoChecks
from gridhaul.transfer.access import Caller
from gridhaul.transfer.errors import NotFound, NotStored, StateConflict, TargetUnknown
from gridhaul.transfer.model import Delivery, File, RecordId
from gridhaul.transfer.ports import AccountUsage, Contents, DeliveryRegistry, FileRegistry
from gridhaul.transfer.states import DELIVERY_MOVES, STORABLE, Action, FileState
from tasks.queue import HintSender

TRY_AGAIN_SECONDS = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Service:
    """The parts that live as long as the process."""

    files: FileRegistry
    deliveries: DeliveryRegistry
    contents: Contents
    checks: MongoChecks
    downloads: ConcurrencyLimit
    hints: HintSender
    indexes: Readiness
    roots: tuple[FilePath, ...]
    targets: frozenset[str]
    large_file_bytes: int
    max_file_bytes: int | None
    max_open_files: int
    open_file_limit: OpenFileLimit
    usage: AccountUsage
    accounts: MongoAccounts
    authenticator: Authenticator
    passwords: Passwords
    password_attempts: PasswordAttempts
    rate_limits: RateLimits
    session_seconds: float

    async def file(self, caller: Caller, file_id: RecordId) -> File:
        """Raises NotFound, also for somebody else's."""
        found = await self.files.get(file_id)
        if found is None or not caller.sees(found.owner):
            raise NotFound("There is no such file.")
        return found

    async def stored_file(self, caller: Caller, file_id: RecordId) -> File:
        """Raises NotFound, NotStored while waiting helps, StateConflict where it does not."""
        file = await self.file(caller, file_id)
        if file.state in STORABLE:
            raise NotStored("The file is not stored yet; try again.", retry_after_seconds=TRY_AGAIN_SECONDS)
        if file.state is FileState.PAUSED:
            raise StateConflict("The file is PAUSED, and not stored yet; resume it first.")
        if file.state is FileState.CANCELLED:
            raise StateConflict("The file is CANCELLED, and was not stored; retry it first.")
        if file.state is not FileState.STORED:
            raise StateConflict(f"The file is {file.state}: it has no stored bytes.")
        return file

    async def delivery(self, caller: Caller, delivery_id: RecordId) -> Delivery:
        """Raises NotFound, also for somebody else's."""
        found = await self.deliveries.get(delivery_id)
        if found is None or not caller.sees(found.owner):
            raise NotFound("There is no such delivery.")
        return found

    async def accept(self, delivery: Delivery) -> None:
        """Count a delivery that was queued or found open, before the caller hears of it (docs/adr/0005).

        Raises StateConflict if the file was deleted meanwhile: then the delivery is taken back.
        """
        if not await self.files.count_delivery(delivery.file_id):
            await self.deliveries.move(delivery.id, DELIVERY_MOVES[Action.CANCEL])
            raise StateConflict("The file was deleted just now: it has no stored bytes.")

    def check_target(self, caller: Caller, name: str) -> None:
        """Raises TargetUnknown, Forbidden. Only configured names are targets, never a URL from a request."""
        if name not in self.targets:
            known = ", ".join(sorted(filter(caller.sees_target, self.targets))) or "none"
            raise TargetUnknown(f"There is no such target; configured are: {known}.")
        caller.require_target(name)


async def get_service(request: Request) -> Service:
    """The service, once its indexes are there."""
    found: Service = request.app.state.service
    await found.indexes.check()
    return found


ServiceDep = Annotated[Service, Depends(get_service)]
Cursor = Annotated[str | None, Query(pattern="^[0-9a-f]{24}$", description="`next_cursor` of the page before")]
Limit = Annotated[int, Query(ge=1, le=1000)]
Id = Annotated[RecordId, Path(pattern="^[0-9a-f]{24}$", description="24 hex digits")]
