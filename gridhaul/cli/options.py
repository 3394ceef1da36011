"""Options that several commands share, and the parsers of their values."""

import os
import re
from typing import Annotated

import typer

from gridhaul.transfer.access import Scope

UNITS = {"": 0, "B": 0, "KiB": 10, "MiB": 20, "GiB": 30, "TiB": 40}
NONE = "none"


def text_of(value: str) -> str:
    """Return the text. Raises BadParameter if it cannot be encoded as UTF-8."""
    try:
        value.encode()
    except UnicodeEncodeError:
        raise typer.BadParameter("the text must be valid Unicode") from None
    return value


def text_or_none(value: str | None) -> str | None:
    return None if value is None else text_of(value)


def texts_of(values: list[str] | None) -> list[str] | None:
    return values and [text_of(value) for value in values]


def path_of(value: str) -> str:
    """Return the absolute path. Raises BadParameter."""
    return os.path.abspath(text_of(value))  # noqa: PTH100 - Path.absolute keeps `..`, Path.resolve follows links


def paths_of(values: list[str] | None) -> list[str] | None:
    return values and [path_of(value) for value in values]


def username_of(value: str) -> str:
    """Return the username. Raises BadParameter if no account can have that name."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,63}", value):
        raise typer.BadParameter("a username has at most 64 lower-case letters, digits, . _ and -")
    return value


def username_or_none(value: str | None) -> str | None:
    return None if value is None else username_of(value)


Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
JsonLines = Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")]
Connections = Annotated[int, typer.Option(min=1, max=16, help="How many parts of a large file travel at once.")]
LoginName = Annotated[
    str | None,
    typer.Option(
        "--username",
        metavar="USER",
        callback=username_or_none,
        help="Log in with the password of USER for this one command, instead of GRIDHAUL_TOKEN.",
    ),
]
RevokeKeys = Annotated[
    bool, typer.Option("--revoke-keys", help="Revoke all API keys of the account together with the old password.")
]
User = Annotated[str, typer.Argument(metavar="USER", callback=username_of, help="The name of the account.")]


def length_of(value: str) -> int:
    """Return the bytes of a length such as `20MiB`, `512KiB` or `4096`. Raises BadParameter."""
    parts = re.fullmatch(rf"([0-9]{{1,12}})({'|'.join(UNITS)})", value)
    if parts is None:
        raise typer.BadParameter("must be a number of bytes, such as 20MiB")
    return int(parts[1]) << UNITS[parts[2]]


def length_or_none(value: str) -> int | None:
    """Return the bytes of a length such as `20MiB`, or None for `none`. Raises BadParameter."""
    return None if value == NONE else length_of(value)


def count_or_none(value: str) -> int | None:
    """Return the number, or None for `none`. Raises BadParameter."""
    if value == NONE:
        return None
    if not re.fullmatch("[0-9]{1,9}", value):
        raise typer.BadParameter(f"must be a number of at most 9 digits, or {NONE}")
    return int(value)


def scopes_of(value: str) -> list[str]:
    """Return the scopes of a list such as `read,prepare`. Raises BadParameter."""
    names = [name for name in value.split(",") if name]
    if not set(names) <= set(Scope):
        raise typer.BadParameter(f"the scopes are {','.join(Scope)}")
    return names
