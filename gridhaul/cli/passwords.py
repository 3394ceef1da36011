"""Passwords that somebody types, or gives on stdin, one a line. They are never shown."""

import sys
from getpass import getpass

from gridhaul.process.settings import SettingsError


def ask(what: str) -> str:
    """The password. Raises SettingsError if there is none."""
    try:
        password = _type(what) if sys.stdin.isatty() else sys.stdin.readline().rstrip("\r\n")
        password.encode()
    except EOFError:
        password = ""
    except UnicodeError:
        raise SettingsError(f"{what}: it must be valid Unicode") from None
    if not password:
        raise SettingsError(f"{what}: none was given, neither typed nor as a line on stdin")
    return password


def ask_new(what: str) -> str:
    """A new password; who types it types it twice. Raises SettingsError."""
    password = ask(what)
    if sys.stdin.isatty() and ask(f"{what}, again") != password:
        raise SettingsError(f"{what}: the two are different")
    return password


def _type(what: str) -> str:
    return getpass(f"{what}: ", stream=sys.stderr)
