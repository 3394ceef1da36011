"""`gridhaul targets`: list the configured targets with what they were seen to do, and test them."""

import json
import re
from collections.abc import Sequence
from typing import Annotated

import typer

from gridhaul.cli.connection import connect, say
from gridhaul.cli.exits import Exit, exit_codes, exit_of_failure, exit_of_operation
from gridhaul.cli.options import JsonLines
from gridhaul.cli.send import interrupted_with
from gridhaul.cli.target_lines import target_lines
from gridhaul.cli.text import clause, obstacle_code, safe
from gridhaul.cli.words import told
from gridhaul.client import ApiError, Client
from gridhaul.client.records import TargetRecord

PATIENCE_SECONDS = 30.0
LIST_PATIENCE_SECONDS = 5.0

commands = typer.Typer(no_args_is_help=True, help="List targets with what they can promise, and test them.")


def _names_of(values: list[str]) -> list[str]:
    """Return the names. Raises BadParameter if no target can have one of them."""
    if not all(re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,63}", value) for value in values):
        raise typer.BadParameter("a target's name has at most 64 of a-z, 0-9, _ and -")
    return values


@commands.command("list")
def list_targets(as_json: JsonLines = False) -> None:
    """List the targets that you may use, with what each was seen to do.

    Workers find that out with small objects of their own, once a day. A promise that was not seen is not made.
    """
    with exit_codes(), connect(LIST_PATIENCE_SECONDS, say) as client:
        for target in client.targets.all():
            (_print_json if as_json else _print_text)(target)


@commands.command("test")
def probe_targets(
    names: Annotated[
        list[str],
        typer.Argument(metavar="NAME...", callback=_names_of, help="The names of targets.", show_default=False),
    ],
    as_json: JsonLines = False,
) -> None:
    """Let workers look again at what targets do, and wait for that.

    The exit code is 0 if each target answered and can take objects.
    """
    with exit_codes(), connect(PATIENCE_SECONDS, say) as client:
        failures = _ask_for_probes(client, names)
        asked = [name for name in dict.fromkeys(names) if name not in failures]
        for name in asked:
            target = _wait_for_probe(client, name)
            (_print_json if as_json else _print_text)(target)
            if target["error"]:
                say(f"FAILED {name} {target['error']['code']}: {target['error']['detail']}")
                failures[name] = exit_of_failure(target["error"]["code"])
    if failures:
        raise typer.Exit(next(iter(failures.values())))


def _ask_for_probes(client: Client, names: Sequence[str]) -> dict[str, Exit]:
    """Ask for a probe of each target at once. Return the exit codes of the names that are refused."""
    refused: dict[str, Exit] = {}
    for name in dict.fromkeys(names):
        try:
            client.targets.probe(name)
        except ApiError as error:
            say(f"ERROR {name} {error.code}: {told(error)}")
            refused[name] = exit_of_operation(error)
    return refused


def _wait_for_probe(client: Client, name: str) -> TargetRecord:
    """Return the target once its probe has ended. Say on stderr why it is not probed yet. Raises Interrupted."""
    told_code: str | None = None
    with interrupted_with("The test goes on at the server; look with: gridhaul targets list"):
        for target in client.targets.follow_probe(name):
            code = obstacle_code(target["waiting"])
            if target["waiting"] and code != told_code:
                say(f"{name} waits: {clause(target['waiting']['detail'])}")
            told_code = code
    return target


def _print_text(target: TargetRecord) -> None:
    for line in target_lines(target):
        typer.echo(safe(line))


def _print_json(target: TargetRecord) -> None:
    """Print `{"target": …}`, escaped as ASCII, so that no text of the target can control the terminal."""
    typer.echo(json.dumps({"target": target}))
