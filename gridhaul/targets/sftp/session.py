"""One SSH connection with its SFTP session: requests, their answers, and the end."""

import asyncio
import time
from collections.abc import Awaitable
from contextlib import suppress
from typing import TypeVar

import asyncssh
from asyncssh.packet import PacketDecodeError

from gridhaul.targets.sftp.errors import ENDED, meaning_of_end
from gridhaul.transfer.errors import GridhaulError, TargetUnavailable

T = TypeVar("T")
Failures = (asyncssh.Error, PacketDecodeError, EOFError, OSError)  # one of them ends a request that has no result

IDLE_SECONDS = 30.0  # a connection that was idle for longer is asked for a sign of life before it is used
ALIVE_SECONDS = 10.0  # the longest wait for a sign of life
CLOSE_SECONDS = 5.0
MOST_WAITS = 10  # how often the usual time may pass until an answer comes, while the server answers to other requests


class Session:
    """One connection with its SFTP session. Requests of several tasks share it."""

    def __init__(
        self,
        connection: asyncssh.SSHClientConnection,
        sftp: asyncssh.SFTPClient,
        *,
        jump: asyncssh.SSHClientConnection | None,
        answer_seconds: float,
    ) -> None:
        self.connection = connection
        self.sftp = sftp
        self.answer_seconds = answer_seconds
        self._jump = jump
        self._answered_at = time.monotonic()
        self._asking = 0  # requests that have no answer yet
        self._has_ended = False
        self._closing: set[asyncio.Task[None]] = set()

    @property
    def server_version(self) -> str:
        """Return the identification that the server sent (RFC 4253, 4.2)."""
        return str(self.connection.get_extra_info("server_version", ""))

    @property
    def is_closed(self) -> bool:
        return self._has_ended or self.connection.is_closed()

    @property
    def is_ready(self) -> bool:
        """Whether the session can be used at once. One that was idle for long may be broken without notice."""
        is_used = self._asking > 0 or time.monotonic() - self._answered_at < IDLE_SECONDS
        return is_used and not self.is_closed

    async def is_alive(self) -> bool:
        """Return whether the server gives a sign of life. A session without one ends."""
        if not self.is_closed:
            request = asyncio.ensure_future(self.sftp.realpath("."))
            try:
                with suppress(GridhaulError, *Failures):
                    async with asyncio.timeout(ALIVE_SECONDS):
                        await self._answer(request, self.answer_seconds)
                    return True
            finally:
                discard(request)
        self.abort()
        return False

    async def ask(self, asking: Awaitable[T], *, busy_seconds: float = 0) -> T:
        """Await a request of this session, and return its result.

        Raises SFTPError if the server answers with an error, and TargetUnavailable, which ends the session, if the
        server gives no answer to any request for `answer_seconds` and `busy_seconds`.
        """
        request = asyncio.ensure_future(asking)
        self._asking += 1
        try:
            return await self._answer(request, self.answer_seconds + busy_seconds)
        except Failures as error:
            if await self._has_answered(error):
                raise
            self.abort()
            raise meaning_of_end(error) from None
        finally:
            self._asking -= 1
            discard(request)

    async def _has_answered(self, error: Exception) -> bool:
        """Return whether the error is an answer of the server, after which the session goes on.

        SFTPBadMessage can be a server's answer to a name, or stand for bytes that are no message of SFTP. Only after
        the first does the server answer to further requests.
        """
        if isinstance(error, asyncssh.SFTPBadMessage):
            return await self.is_alive()
        return isinstance(error, asyncssh.SFTPError) and not isinstance(error, ENDED)

    async def _answer(self, request: asyncio.Future[T], seconds: float) -> T:
        """Wait for the answer while the server answers to other requests, because it may have many before this one."""
        began = time.monotonic()
        while not request.done():
            now = time.monotonic()
            left = min(max(began, self._answered_at) + seconds, began + MOST_WAITS * seconds) - now
            if left <= 0:
                self.abort()
                raise TargetUnavailable(f"The target's server gave no answer for {seconds:.0f} seconds.")
            await asyncio.wait([request], timeout=left)
        self._answered_at = time.monotonic()
        return request.result()

    def close_later(self, file: asyncssh.SFTPClientFile) -> None:
        """Close a file without waiting for it, because the caller was cancelled or met an error."""
        task = asyncio.create_task(self._close(file))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    def abort(self) -> None:
        """End the connection at once. Bytes that wait in this process do not leave any more."""
        self._has_ended = True
        self.connection.abort()
        if self._jump is not None:
            self._jump.abort()

    async def close(self) -> None:
        """End the connection."""
        if self._closing:
            await asyncio.wait(self._closing, timeout=CLOSE_SECONDS)
        self._has_ended = True
        self.connection.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await self.connection.wait_closed()
        self.abort()

    async def _close(self, file: asyncssh.SFTPClientFile) -> None:
        with suppress(asyncssh.Error, GridhaulError):
            await self.ask(file.close())


def discard(request: asyncio.Future[T]) -> None:
    """Cancel a request, unless it is done: nobody waits for its answer any more."""
    request.cancel()
    request.add_done_callback(retrieve)


def retrieve(ended: asyncio.Future[T]) -> None:
    """Take the exception, so that asyncio does not log it as one that nobody has met."""
    if not ended.cancelled():
        ended.exception()
