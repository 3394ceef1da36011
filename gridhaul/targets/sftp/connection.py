"""The SSH connection to one target: it is made when it is first needed, and again after it broke."""

import asyncio
import time
from collections.abc import Awaitable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

import asyncssh

from gridhaul.process.settings import ANSWER_SECONDS
from gridhaul.targets.sftp.errors import ENDED, JUMP, SERVER, mapped_errors, meaning
from gridhaul.transfer.errors import GridhaulError, TargetUnavailable

T = TypeVar("T")

CONNECT_SECONDS = 10.0  # for the TCP connection, the key exchange and the login together
LOGIN_SECONDS = 10.0
KEEPALIVE_SECONDS = 15.0
KEEPALIVES_MISSED = 3  # a connection on which so many keepalives in a row got no answer is broken
IDLE_SECONDS = 30.0  # a connection that was idle for longer is asked for a sign of life before it is used
CLOSE_SECONDS = 5.0
MOST_WAITS = 10  # how often the usual time may pass until an answer comes, while the server answers to other requests
# AES-GCM first: asyncssh's own first choice, ChaCha20, has half of its speed.
CIPHERS = (
    *("aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "chacha20-poly1305@openssh.com"),
    *("aes128-ctr", "aes192-ctr", "aes256-ctr"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Login:
    """The way into one SSH server."""

    host: str
    port: int
    options: asyncssh.SSHClientConnectionOptions = field(repr=False)  # with the host's keys, and the user's


def login_options(
    *, username: str, known_hosts: Any, client_keys: Sequence[Any] | None, password: str | None
) -> asyncssh.SSHClientConnectionOptions:
    """Return asyncssh's options for a login with nothing but these keys and credentials.

    Without these options asyncssh would read the configuration, keys and certificates of `~/.ssh`, and ask an agent.
    Raises ValueError if it cannot use one of the values.
    """
    return asyncssh.SSHClientConnectionOptions(
        config=None,
        username=username,
        known_hosts=known_hosts,
        client_keys=client_keys,
        password=password,
        agent_path=None,
        gss_auth=False,
        gss_kex=False,
        host_based_auth=False,
        x509_trusted_certs=None,
        x509_trusted_cert_paths=[],
        encryption_algs=CIPHERS,
        compression_algs=None,
        connect_timeout=CONNECT_SECONDS,
        login_timeout=LOGIN_SECONDS,
        keepalive_interval=KEEPALIVE_SECONDS,
        keepalive_count_max=KEEPALIVES_MISSED,
    )


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
            with suppress(GridhaulError, asyncssh.SFTPError, TimeoutError):
                async with asyncio.timeout(CONNECT_SECONDS):
                    await self.ask(self.sftp.realpath("."))
                return True
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
        except (asyncssh.Error, EOFError, OSError) as error:
            if isinstance(error, asyncssh.SFTPError) and not isinstance(error, ENDED):
                raise
            self.abort()
            raise meaning(error) from None
        finally:
            self._asking -= 1
            discard(request)

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


class Connection:
    """Gives the session with the server to all who use the target."""

    def __init__(self, login: Login, *, jump: Login | None, answer_seconds: float = ANSWER_SECONDS) -> None:
        self._login = login
        self._jump = jump
        self._answer_seconds = answer_seconds
        self._session: Session | None = None
        self._getting: asyncio.Task[Session] | None = None

    async def session(self) -> Session:
        """Return a session that is not known to be broken. Raises TargetUnavailable, TargetRefused.

        All who wait for a new session share its outcome, so that a server that is down delays each of them only once.
        """
        if self._session is not None and self._session.is_ready:
            return self._session
        if self._getting is None or self._getting.done():
            self._getting = asyncio.create_task(self._get())
            self._getting.add_done_callback(_retrieve)
        return await asyncio.shield(self._getting)

    async def close(self) -> None:
        """End the connection, if there is one."""
        if self._getting is not None and not self._getting.done():
            self._getting.cancel()
            await asyncio.wait([self._getting])
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _get(self) -> Session:
        if self._session is not None and not await self._session.is_alive():
            self._session = None
        if self._session is None:
            self._session = await self._open()
        return self._session

    async def _open(self) -> Session:
        jump = None if self._jump is None else await _connect(self._jump, JUMP, through=None)
        connection: asyncssh.SSHClientConnection | None = None
        try:
            connection = await _connect(self._login, SERVER, through=jump)
            with mapped_errors():
                async with asyncio.timeout(CONNECT_SECONDS):
                    sftp = await connection.start_sftp_client()
        except BaseException:
            for opened in filter(None, (connection, jump)):
                opened.abort()
            raise
        return Session(connection, sftp, jump=jump, answer_seconds=self._answer_seconds)


async def _connect(
    login: Login, server: str, *, through: asyncssh.SSHClientConnection | None
) -> asyncssh.SSHClientConnection:
    with mapped_errors(server):
        return await asyncssh.connect(login.host, login.port, config=None, tunnel=through or (), options=login.options)


def discard(request: asyncio.Future[T]) -> None:
    """Cancel a request, unless it is done: nobody waits for its answer any more."""
    request.cancel()
    request.add_done_callback(_retrieve)


def _retrieve(ended: asyncio.Future[T]) -> None:
    """Take the exception, so that asyncio does not log it as one that nobody has met."""
    if not ended.cancelled():
        ended.exception()
