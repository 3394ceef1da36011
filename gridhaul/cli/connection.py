"""What every command needs: the api's client from the environment, ids, a line on stderr."""

import re
from collections.abc import Callable

import typer

from gridhaul.cli.text import safe
from gridhaul.client import Client
from gridhaul.settings import CommandSettings, SettingsError
from gridhaul.tls import tls_context


def connect(patience_seconds: float, note: Callable[[str], None]) -> Client:
    """A client that says with `note` what it waits for. Raises SettingsError."""
    settings = CommandSettings()
    tls = tls_context(settings.ca_file)
    try:
        return Client(
            settings.url,
            settings.token.get_secret_value(),
            patience_seconds=patience_seconds,
            on_retry=lambda error: note(f"waiting: {error}"),
            tls=tls,
        )
    except ValueError as error:
        raise SettingsError(f"GRIDHAUL_URL or GRIDHAUL_TOKEN: {error}") from None


def say(line: str) -> None:
    typer.echo(safe(line), err=True)


def record_id_of(value: str) -> str:
    """The id in lower case. Raises BadParameter."""
    if not re.fullmatch(r"[0-9a-fA-F]{24}", value):
        raise typer.BadParameter("an id has 24 hex digits")
    return value.lower()
