"""`python -m bench`: measure Gridhaul and its peers on this machine."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from bench.catalogue import ALL_NAMES, choose
from bench.errors import BenchError, UsageProblem
from bench.run import Plan, run, run_guard
from bench.scale import FULL, Scale
from bench.tuning import settings_of
from gridhaul.embedded.errors import EmbeddedError
from gridhaul.embedded.terminal import Interrupted, interruptible

Size = Annotated[
    int,
    typer.Option(
        min=8, metavar="MIB", help="The large file's size; all other sizes shrink in proportion. Makes a trial."
    ),
]
Largest = Annotated[
    int | None,
    typer.Option(
        min=2,
        metavar="GIB",
        help="Most that memory, growth and tebibyte send, instead of 16 and 20 GiB. Makes a trial.",
    ),
]
Settings = Annotated[
    list[str],
    typer.Option("--set", metavar="NAME=VALUE", help="A setting without GRIDHAUL_; repeatable. Makes a trial."),
]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.callback(invoke_without_command=True)
def bench(
    context: typer.Context,
    *,
    only: Annotated[
        str, typer.Option(metavar="CASES", help=f"Cases to measure, separated by commas: {', '.join(ALL_NAMES)}.")
    ] = "",
    runs: Annotated[int, typer.Option(min=1, help="The runs of each case; 5 or more are published.")] = 5,
    size: Size = FULL.file_mib,
    largest: Largest = None,
    settings: Settings = [],  # noqa: B006 - typer makes a new list for each call
) -> None:
    """Measure Gridhaul and its peers, show the results, and write bench/latest.json.

    docs/performance.md and its chart are then written from bench/latest.json. A trial is a run with other sizes or
    settings: its results go to var/bench-trial.json, and are not published.
    """
    if context.invoked_subcommand is not None:
        return
    with _errors_to_exit_codes():
        names = tuple(name for name in only.split(",") if name)
        plan = Plan(cases=choose(names), runs=runs, scale=_scale(size, largest), settings=settings_of(settings))
        run(plan)


@app.command()
def guard() -> None:
    """Measure a few cases at small sizes, in about a minute; exit with 1 if a ratio is below its margin."""
    with _errors_to_exit_codes():
        holds = run_guard()
    raise typer.Exit(0 if holds else 1)


def _scale(size_mib: int, largest_gib: int | None) -> Scale:
    scale = FULL.shrunk(size_mib)
    return scale if largest_gib is None else scale.up_to(largest_gib)


@contextmanager
def _errors_to_exit_codes() -> Iterator[None]:
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
