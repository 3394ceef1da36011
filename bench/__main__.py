"""`python -m bench`: Gridhaul beside its peers, on this machine."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from bench.catalogue import NAMES, choose
from bench.errors import BenchError, UsageProblem
from bench.run import Plan, run, run_guard
from bench.scale import FULL, Scale
from bench.tuning import settings_of
from gridhaul.embedded.errors import EmbeddedError
from gridhaul.embedded.terminal import Interrupted, interruptible

Size = Annotated[int, typer.Option(min=8, metavar="MIB", help="Instead of 1024; all else shrinks alike. A trial.")]
Largest = Annotated[int | None, typer.Option(min=2, metavar="GIB", help="Instead of 16 GiB, for less disk. A trial.")]
Settings = Annotated[
    list[str], typer.Option("--set", metavar="NAME=VALUE", help="A setting without GRIDHAUL_, repeatable. A trial.")
]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.callback(invoke_without_command=True)
def bench(
    context: typer.Context,
    *,
    only: Annotated[str, typer.Option(metavar="CASES", help=f"Some of {', '.join(NAMES)}.")] = "",
    runs: Annotated[int, typer.Option(min=1, help="How often each is measured; 5 or more are published.")] = 5,
    size: Size = FULL.file_mib,
    largest: Largest = None,
    settings: Settings = [],  # noqa: B006 - typer makes a new one
) -> None:
    """Measure Gridhaul beside its peers, show the table, and write bench/latest.json.

    From it docs/performance.md and its chart are written. A trial has other sizes or settings: it goes to
    var/bench-trial.json, and is not published.
    """
    if context.invoked_subcommand is not None:
        return
    with _problems_told():
        names = tuple(name for name in only.split(",") if name)
        plan = Plan(cases=choose(names), runs=runs, scale=_scale(size, largest), settings=settings_of(settings))
        run(plan)


@app.command()
def guard() -> None:
    """Measure a few cases at small sizes, in about a minute; exit with 1 if a ratio is below its margin."""
    with _problems_told():
        holds = run_guard()
    raise typer.Exit(0 if holds else 1)


def _scale(size_mib: int, largest_gib: int | None) -> Scale:
    scale = FULL.shrunk(size_mib)
    return scale if largest_gib is None else scale.up_to(largest_gib)


@contextmanager
def _problems_told() -> Iterator[None]:
    try:
        with interruptible():
            yield
    except Interrupted as interrupted:
        typer.echo("Interrupted. Everything has been stopped and removed.", err=True)
        raise typer.Exit(interrupted.exit_code) from None
    except UsageProblem as error:
        raise typer.BadParameter(str(error)) from None
    except (BenchError, EmbeddedError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None


if __name__ == "__main__":
    app(prog_name="python -m bench")
