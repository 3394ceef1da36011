"""Passwords: argon2id (RFC 9106), a few at a time, because each takes 64 MiB and a core."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from gridhaul.transfer.errors import InvalidValue

AT_ONCE = 2
SHORTEST = 12
LONGEST = 256

_hasher = PasswordHasher()


class Passwords:
    """Hashes and verifies in threads of its own: those of the loop may all hang on a disk that does not answer."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(AT_ONCE, "passwords")

    async def hashed(self, password: str) -> str:
        """What is stored of it."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, _hasher.hash, password)

    async def match(self, password: str, password_hash: str | None) -> bool:
        """Whether it is the one. Without a hash it takes as long, and it is not."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, _verify, password, password_hash)


def check_password(password: str) -> str:
    """The password, if it may be somebody's new one. Raises InvalidValue."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise InvalidValue(f"A password has {SHORTEST} to {LONGEST} characters.")
    if any(0xD800 <= ord(character) < 0xE000 for character in password):
        raise InvalidValue("A password must be valid Unicode.")
    return password


def is_outdated(password_hash: str) -> bool:
    """Whether it was made with parameters that are not today's."""
    return _hasher.check_needs_rehash(password_hash)


def _verify(password: str, password_hash: str | None) -> bool:
    try:
        return _hasher.verify(password_hash or _nobodys(), password) and password_hash is not None
    except (VerificationError, InvalidHashError, UnicodeEncodeError):
        return False


@cache
def _nobodys() -> str:
    """Compared with where there is no account, so that the time does not tell."""
    return _hasher.hash("nobody's")
