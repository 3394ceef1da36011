"""The SSH connection to one target: it is made when it is first needed, and again after it broke."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import asyncssh

from gridhaul.process.settings import ANSWER_SECONDS
from gridhaul.targets.sftp.errors import JUMP, SERVER, mapped_errors, meaning_behind_jump, meaning_of_end
from gridhaul.targets.sftp.gathering import GatheringConnector
from gridhaul.targets.sftp.session import Session, retrieve

CONNECT_SECONDS = 10.0  # for the TCP connection, the key exchange and the login together
LOGIN_SECONDS = 10.0
KEEPALIVE_SECONDS = 15.0
KEEPALIVES_MISSED = 3  # a connection on which so many keepalives in a row got no answer is broken
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
            self._getting.add_done_callback(retrieve)
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
            sftp = await _start_sftp(connection)
        except BaseException:
            for opened in filter(None, (connection, jump)):
                opened.abort()
            raise
        return Session(connection, sftp, jump=jump, answer_seconds=self._answer_seconds)


async def _connect(
    login: Login, server: str, *, through: asyncssh.SSHClientConnection | None
) -> asyncssh.SSHClientConnection:
    """Log in to the server, through the connection to a jump host if one is given.

    A refusal to open a channel is the jump host's: the login to the server itself opens none.
    """
    with mapped_errors(server):
        try:
            return await asyncssh.connect(
                login.host, login.port, config=None, tunnel=through or GatheringConnector(), options=login.options
            )
        except asyncssh.ChannelOpenError as refusal:
            raise meaning_behind_jump(refusal) from None


async def _start_sftp(connection: asyncssh.SSHClientConnection) -> asyncssh.SFTPClient:
    """Start the SFTP session. Paths that are not UTF-8 do not end it: their other bytes are kept as surrogates."""
    with mapped_errors():
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                return await connection.start_sftp_client(path_errors="surrogateescape")
        except asyncssh.SFTPBadMessage as error:  # the server, or its user's shell, sends something else than SFTP
            raise meaning_of_end(error) from None
