"""Passwords: argon2id (RFC 9106), a few hashes at a time, because each takes 64 MiB and a core."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from gridhaul.transfer.errors import InvalidValue

AT_ONCE = 2
SHORTEST = 12  # characters
LONGEST = 256  # characters

_hasher = PasswordHasher()


class Passwords:
    """Hashes and verifies in threads of its own: the loop's threads may all wait for a disk that does not answer."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(AT_ONCE, "passwords")

    async def hashed(self, password: str) -> str:
        """Return the hash of the password, which is stored in its place."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, _hasher.hash, password)

    async def match(self, password: str, password_hash: str | None) -> bool:
        """Return whether the hash is the password's. If `password_hash` is None, take as long and return False."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, _verify, password, password_hash)


def check_password(password: str) -> str:
    """Return the password. Raises InvalidValue unless it is allowed as a new password."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise InvalidValue(f"A password has {SHORTEST} to {LONGEST} characters.")
    if any(0xD800 <= ord(character) < 0xE000 for character in password):
        raise InvalidValue("A password must be valid Unicode.")
    return password


def is_outdated(password_hash: str) -> bool:
    """Return whether the hash was made with other parameters than today's."""
    return _hasher.check_needs_rehash(password_hash)


def _verify(password: str, password_hash: str | None) -> bool:
    try:
        return _hasher.verify(password_hash or _hash_of_nobody(), password) and password_hash is not None
    except (VerificationError, InvalidHashError, UnicodeEncodeError):
        return False


@cache
def _hash_of_nobody() -> str:
    """Return a hash to compare with if the account has none, so that the time does not tell if the account exists."""
    return _hasher.hash("nobody's")
