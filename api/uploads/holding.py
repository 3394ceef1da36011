"""Holding an upload: one request at a time appends to it, and a new request never waits long for an old one."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from uuid import uuid4

import structlog

from api.repeating import repeat
from gridhaul.transfer.errors import DatabaseUnavailable, LeaseLost
from gridhaul.transfer.model import File, Lease, RecordId
from gridhaul.transfer.ports.contents import UploadContents
from gridhaul.transfer.ports.uploads import Uploads
from gridhaul.transfer.states import FileState

LET_GO_SECONDS = 2.0  # how long a new request waits for the holder to store what it has
LOOK_SECONDS = 0.05
WATCH_SECONDS = 0.25
log = structlog.get_logger(__name__)


class Held:
    """An upload that this request holds. `must_end` is set when the request has to store what it has and to end."""

    def __init__(self, file: File) -> None:
        self.file = file
        self.must_end = asyncio.Event()
        self.is_over = False  # True: the upload is no longer RECEIVING, so there is nothing to let go

    @property
    def lease(self) -> Lease:
        return self.file.lease


class Holdings:
    """The uploads that requests of this process hold, and the watch over them."""

    def __init__(self, uploads: Uploads, contents: UploadContents) -> None:
        self._uploads = uploads
        self._contents = contents
        self._held: dict[Lease, Held] = {}

    @asynccontextmanager
    async def hold(self, file: File) -> AsyncGenerator[Held]:
        """Hold the upload inside the context; take it over from a request that holds it. Raises LeaseLost.

        LeaseLost means that the file is no longer RECEIVING.
        """
        held = Held(await self._take_over(file))
        self._held[held.lease] = held
        try:
            yield held
        finally:
            del self._held[held.lease]
            with suppress(DatabaseUnavailable):  # the next request then forces the upload
                if not held.is_over:
                    await self._uploads.let_go(held.lease)

    async def watch(self) -> None:
        """Tell the requests that have to end. Runs as long as the process."""
        await repeat(self._tell_holders, every_seconds=WATCH_SECONDS, log=log, name="watch_of_uploads")

    async def _tell_holders(self) -> None:
        with suppress(DatabaseUnavailable):
            for lease in await self._uploads.leases_to_end([*self._held]) if self._held else ():
                if lease in self._held:
                    self._held[lease].must_end.set()

    async def _take_over(self, file: File) -> File:
        holder, content_id = uuid4().hex, self._contents.new_id()
        taken = await self._uploads.take(file.id, holder=holder, new_content_id=content_id)
        if taken is None:
            file, taken = await self._wait_and_take(file, holder, content_id)
        if taken is None:
            raise LeaseLost(f"file {file.id} is not RECEIVING")
        if file.content_id is not None and taken.content_id != file.content_id:
            await self._contents.drop_ref(file.content_id, file.id)
        return taken

    async def _wait_and_take(self, file: File, holder: str, content_id: RecordId) -> tuple[File, File | None]:
        """Ask the holder to let go, and take the upload when it has, or by force when the time is over.

        Return the file as it was seen before that, which names the content of the last holder, and as it was taken.
        """
        await self._uploads.ask_to_let_go(file.id)
        for _ in range(round(LET_GO_SECONDS / LOOK_SECONDS)):
            await asyncio.sleep(LOOK_SECONDS)
            file = await self._uploads.get(file.id) or file
            if file.state is not FileState.RECEIVING:
                return file, None
            if taken := await self._uploads.take(file.id, holder=holder, new_content_id=content_id):
                return file, taken
        return file, await self._uploads.force(file.id, holder=holder, new_content_id=content_id)
