"""`python -m tests.fuzz`: let every caller fuzz its service, then fuzz the parsers, and print tables of both."""

import secrets
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from gridhaul.embedded.terminal import Interrupted, interruptible
from tests.fuzz import parsers, report
from tests.fuzz.callers import Caller, callers
from tests.fuzz.run import Outcome, run
from tests.fuzz.stand import standing

REQUEST_COST = 1000  # a request takes as long as this number of calls of a parser

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, help=__doc__)


@app.command()
def main(
    *,
    examples: Annotated[
        int, typer.Option(min=REQUEST_COST, help="Examples for each parser; an operation gets a 1,000th.")
    ],
    seed: Annotated[str, typer.Option(help="Seed of the requests; without it, a random one.")] = "",
) -> None:
    """Fuzz both services and the parsers. Exit with 1 if anything was found."""
    number = int(seed) if seed else secrets.randbelow(1_000_000)
    try:
        with interruptible():
            outcomes = _ask(examples // REQUEST_COST, number)
            typer.echo("fuzzing the parsers", err=True)
            tried = parsers.run(examples)
    except Interrupted as interrupted:
        raise typer.Exit(interrupted.exit_code) from None
    report.show(outcomes, tried, seed=number)
    raise typer.Exit(1 if any(outcome.failed for outcome in outcomes) or tried.failed else 0)


def _ask(examples: int, seed: int) -> list[Outcome]:
    with tempfile.TemporaryDirectory(prefix="gridhaul-fuzz-") as top, standing(Path(top)) as stand:
        return [_asked(caller, examples, seed) for caller in callers(stand)]


def _asked(caller: Caller, examples: int, seed: int) -> Outcome:
    typer.echo(f"sending requests as: {caller.name}", err=True)
    return run(caller, examples=examples, seed=seed)


if __name__ == "__main__":
    app(prog_name="python -m tests.fuzz")
