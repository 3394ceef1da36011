"""Reads passwords, typed at a terminal or one a line on stdin. Passwords are never shown."""

import sys
from getpass import getpass

from gridhaul.process.settings import SettingsError


def ask(label: str) -> str:
    """Return the password that is typed, or a line of stdin. `label` names the password in prompts and errors.

    Raises SettingsError if the password is empty or not valid Unicode.
    """
    try:
        password = _type(label) if sys.stdin.isatty() else sys.stdin.readline().rstrip("\r\n")
        password.encode()
    except EOFError:
        password = ""
    except UnicodeError:
        raise SettingsError(f"{label}: the password must be valid Unicode") from None
    if not password:
        raise SettingsError(f"{label}: no password was typed or read from stdin")
    return password


def ask_new(label: str) -> str:
    """Return a new password, which must be typed twice at a terminal. Raises SettingsError."""
    password = ask(label)
    if sys.stdin.isatty() and ask(f"{label}, again") != password:
        raise SettingsError(f"{label}: the two passwords differ")
    return password


def _type(label: str) -> str:
    return getpass(f"{label}: ", stream=sys.stderr)
