"""The dependencies of the api's routes: the service, and types of path and query parameters."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Annotated

from fastapi import Depends, Path, Query, Request

from api.authenticator import Authenticator
from api.batch_counts import BatchCounts
from api.configured_targets import ConfiguredTargets
from api.download_limit import DownloadSlots
from api.events.stream import Events
from api.file_advice import advice_on
from api.list_limit import ListSlots
from api.obstacles import Obstacles
from api.open_file_limit import OpenFileLimit
from api.password_attempts import PasswordAttempts
from api.rate_limits import RateLimits
from api.recent_counts import RecentCounts
from api.source_lookup import SourceLookup
from api.uploads.parts import UploadParts
from gridhaul.asgi.audit import audit
from gridhaul.asgi.readiness import Readiness
from gridhaul.identity.passwords import Passwords
from gridhaul.transfer.access import Caller
from gridhaul.transfer.cells import Cells
from gridhaul.transfer.errors import NotFound, NotStored, StateConflict, TargetUnknown
from gridhaul.transfer.listing import AccountCounts, TypeCounts
from gridhaul.transfer.model import Content, Delivery, File, RecordId
from gridhaul.transfer.ports.accounts import Accounts, AccountUsage
from gridhaul.transfer.ports.batches import BatchRegistry, Lanes, Members, SkippedPaths
from gridhaul.transfer.ports.checking import CheckRegistry
from gridhaul.transfer.ports.contents import ContentReading
from gridhaul.transfer.ports.deliveries import DeliveryRegistry
from gridhaul.transfer.ports.files import FileRegistry
from gridhaul.transfer.ports.hints import Hints
from gridhaul.transfer.ports.lists import ListIntake
from gridhaul.transfer.states import DELIVERY_MOVES, STORABLE, Action, FileState
from gridhaul.transfer.store_size import StoreSize
from gridhaul.transfer.target_activity import AccountActivity

TRY_AGAIN_SECONDS = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Service:
    """The parts of the api that live as long as the process."""

    files: FileRegistry
    deliveries: DeliveryRegistry
    contents: ContentReading
    checks: CheckRegistry
    batches: BatchRegistry
    lanes: Lanes
    members: Members
    skipped: SkippedPaths
    lists: ListIntake
    list_slots: ListSlots
    batch_counts: BatchCounts
    max_open_batches: int
    downloads: DownloadSlots
    events: Events
    uploads: UploadParts
    max_file_bytes: int | None
    hints: Hints
    obstacles: Obstacles
    indexes: Readiness
    roots: tuple[FilePath, ...]
    sources: SourceLookup
    targets: ConfiguredTargets
    large_file_bytes: int
    max_open_files: int
    open_file_limit: OpenFileLimit
    usage: AccountUsage
    account_counts: RecentCounts[str, AccountCounts]
    type_counts: RecentCounts[str, TypeCounts]
    chunk_counts: RecentCounts[tuple[Content, Cells], Sequence[int]]
    target_activity: RecentCounts[str, AccountActivity]
    store_size: RecentCounts[None, StoreSize]
    accounts: Accounts
    authenticator: Authenticator
    passwords: Passwords
    password_attempts: PasswordAttempts
    rate_limits: RateLimits
    session_seconds: float

    async def file(self, caller: Caller, file_id: RecordId) -> File:
        """Return the file. Raises NotFound, also for a file that the caller may not see."""
        found = await self.files.get(file_id)
        if found is None or not caller.sees(found.owner):
            raise NotFound("There is no such file.")
        return found

    async def stored_file(self, caller: Caller, file_id: RecordId) -> File:
        """Return the file if it is STORED.

        Raises NotFound, NotStored while the file is still being stored, and StateConflict in every other state.
        """
        file = await self.file(caller, file_id)
        if file.state in STORABLE or file.state is FileState.RECEIVING:
            raise NotStored("The file is not stored yet; try again.", retry_after_seconds=TRY_AGAIN_SECONDS)
        if file.state is FileState.PAUSED:
            raise StateConflict("The file is PAUSED, and not stored yet; resume it first.")
        if file.state is FileState.CANCELLED:
            raise StateConflict(f"The file is CANCELLED, and was not stored: {advice_on(file)}")
        if file.state is not FileState.STORED:
            raise StateConflict(f"The file is {file.state}: it has no stored bytes.")
        return file

    async def delivery(self, caller: Caller, delivery_id: RecordId) -> Delivery:
        """Return the delivery. Raises NotFound, also for a delivery that the caller may not see."""
        found = await self.deliveries.get(delivery_id)
        if found is None or not caller.sees(found.owner):
            raise NotFound("There is no such delivery.")
        return found

    async def accept(self, delivery: Delivery) -> None:
        """Count a delivery that was queued or found open, before the client gets its answer (docs/adr/0005).

        Raises StateConflict if the file was deleted meanwhile, and cancels the delivery then.
        """
        if not await self.files.count_delivery(delivery.file_id):
            await self.deliveries.move(delivery.id, DELIVERY_MOVES[Action.CANCEL])
            raise StateConflict("The file was deleted just now: it has no stored bytes.")

    def check_target(self, caller: Caller, name: str) -> None:
        """Check that the caller may deliver to the target. Raises TargetUnknown.

        Only a configured name is a target, never a URL from a request. The error is the same for a target that does not
        exist and for one that is not allowed to the account, so it reveals no names of targets.
        """
        if name not in self.targets or not caller.sees_target(name):
            audit("refused", code=TargetUnknown.code)
            raise TargetUnknown("There is no such target, or it is not allowed to you.")


async def get_service(request: Request) -> Service:
    """Return the service. Raises DatabaseUnavailable until its indexes exist."""
    found: Service = request.app.state.service
    await found.indexes.check()
    return found


ServiceDep = Annotated[Service, Depends(get_service)]
Cursor = Annotated[str | None, Query(pattern="^[0-9a-f]{24}$", description="`next_cursor` of the previous page")]
States = Query(description="Only records in this state; repeat it for several states. Without it: in every state")
Limit = Annotated[int, Query(ge=1, le=1000)]
Id = Annotated[RecordId, Path(pattern="^[0-9a-f]{24}$", description="24 hex digits")]
