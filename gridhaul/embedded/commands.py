"""The commands `up` and `demo`: run the system on this machine, without root, Docker or configuration."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from gridhaul.embedded import environment
from gridhaul.embedded.bootstrap import OPERATOR
from gridhaul.embedded.configuration import Configuration
from gridhaul.embedded.demo import demonstrate
from gridhaul.embedded.errors import EmbeddedError, NotRunning
from gridhaul.embedded.programs import PROJECT
from gridhaul.embedded.system import System
from gridhaul.embedded.terminal import Interrupted, interruptible, running
from gridhaul.process.settings import EmbeddedSettings, SettingsError

USUAL_PORT = 8000
LOOK_SECONDS = 0.5

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)


@app.command()
def up(
    *,
    data: Annotated[Path, typer.Option(help="The directory of the database, logs and secrets.")] = PROJECT / "var/up",
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="The api's port; without it, 8000 or another free port.")
    ] = None,
    roots: Annotated[str, typer.Option(help="Directories to send from, dir:dir; without it, DATA/outgoing.")] = "",
) -> None:
    """Run the whole system until Ctrl-C."""
    with _errors_to_exit_codes():
        configuration = replace(
            _configuration(data),
            roots=tuple(Path(part) for part in roots.split(":") if part),
            port=port,
            preferred_port=USUAL_PORT,
        )
        try:
            with interruptible(), running(configuration) as system:
                typer.echo(_summary(system))
                _wait_while_alive(system)
        except Interrupted:
            typer.echo("Everything has been stopped.")


@app.command()
def demo(
    file: Annotated[Path | None, typer.Argument(help="The file to send; without FILE, 64 MiB of random bytes.")] = None,
    *,
    data: Annotated[Path, typer.Option(help="A directory that is emptied at each start.")] = PROJECT / "var/demo",
) -> None:
    """Send FILE to a remote server that is started for the demo, and verify that the file arrived."""
    with _errors_to_exit_codes():
        try:
            with interruptible():
                code = demonstrate(file, _configuration(data))
        except Interrupted as interrupted:
            code = interrupted.exit_code
    raise typer.Exit(code)


def _configuration(data: Path) -> Configuration:
    """Return a configuration with the settings and servers that the environment names."""
    servers = EmbeddedSettings()
    return Configuration(
        data=data,
        environment=environment.settings_from_outside(),
        mongo_url=servers.mongo_url.get_secret_value() if servers.mongo_url else None,
        redis_url=servers.redis_url.get_secret_value() if servers.redis_url else None,
    )


@contextmanager
def _errors_to_exit_codes() -> Iterator[None]:
    try:
        yield
    except SettingsError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    except EmbeddedError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(error.exit_code) from None


def _summary(system: System) -> str:
    return (
        f"page     {system.url}/ (sign in as {OPERATOR}; password in {system.data}/secrets/operator_password)\n"
        f"api      {system.url} (its description: {system.url}/docs)\n"
        f"token    {system.data}/operator.env: GRIDHAUL_URL and GRIDHAUL_TOKEN for the command gridhaul\n"
        f"roots    {', '.join(map(str, system.roots))}\n"
        f"targets  {system.data}/targets.toml\n"
        f"logs     {system.data}/logs\n"
        "Ctrl-C stops everything."
    )


def _wait_while_alive(system: System) -> None:
    while system.alive:
        time.sleep(LOOK_SECONDS)
    raise NotRunning(f"supervisord has stopped. Its log is {system.data}/logs/supervisord.log.")
