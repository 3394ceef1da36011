"""Parts that the commands share: the api's client with the environment's settings, ids, and lines on stderr."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

import typer

from gridhaul.cli.passwords import ask
from gridhaul.cli.text import safe
from gridhaul.cli.words import reason
from gridhaul.client import Client, ClientError, logged_in
from gridhaul.outgoing.tls import tls_context
from gridhaul.process.settings import CommandSettings, SettingsError

ACCOUNT_PATIENCE_SECONDS = 5.0
HOW_TO_GET_A_KEY = "`gridhaul keys create NAME --username USER` makes an API key with a password"


def connect(patience_seconds: float, note: Callable[[str], None]) -> Client:
    """Return a client with the environment's token. `note` receives a line before each retry. Raises SettingsError."""
    settings = CommandSettings()
    if settings.token is None:
        raise SettingsError(f"GRIDHAUL_TOKEN, the API key, is not set; {HOW_TO_GET_A_KEY}")
    try:
        return Client(
            settings.url,
            settings.token.get_secret_value(),
            patience_seconds=patience_seconds,
            on_retry=_changed_reasons(note),
            tls=tls_context(settings.ca_file),
        )
    except ValueError as error:
        raise SettingsError(f"GRIDHAUL_URL or GRIDHAUL_TOKEN: {error}") from None


def _changed_reasons(note: Callable[[str], None]) -> Callable[[ClientError], None]:
    """Return a callback that notes why a request is retried, once for each series of equal reasons."""
    last = ""

    def on_retry(error: ClientError) -> None:
        nonlocal last
        if (line := f"waiting: {reason(error)}") != last:
            last = line
            note(line)

    return on_retry


def connect_as(username: str | None) -> AbstractContextManager[Client]:
    """Return a client with the environment's token, or with a login of `username` for this one command.

    Raises SettingsError.
    """
    if username is None:
        return connect(ACCOUNT_PATIENCE_SECONDS, say)
    return log_in(username, password_of(username))


@contextmanager
def log_in(username: str, password: str) -> Iterator[Client]:
    """Yield a client for one login, which ends with the context. Raises SettingsError, ClientError."""
    settings = CommandSettings()
    with ExitStack() as stack:
        try:
            login = logged_in(
                settings.url,
                username=username,
                password=password,
                patience_seconds=ACCOUNT_PATIENCE_SECONDS,
                on_retry=_changed_reasons(say),
                tls=tls_context(settings.ca_file),
            )
            client = stack.enter_context(login)
        except ValueError as error:
            raise SettingsError(f"GRIDHAUL_URL: {error}") from None
        yield client


def password_of(username: str) -> str:
    """Return the password of the environment, else ask for the password. Raises SettingsError."""
    held = CommandSettings().password
    return held.get_secret_value() if held else ask(f"Password of {username}")


@contextmanager
def perhaps_done(advice: str) -> Iterator[None]:
    """Print the advice when a request fails and the api may have carried it out all the same."""
    try:
        yield
    except ClientError as error:
        if error.may_be_done:
            say(advice)
        raise


def say(line: str) -> None:
    typer.echo(safe(line), err=True)
