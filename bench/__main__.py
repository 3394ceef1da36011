"""`python -m bench`: Gridhaul beside its peers, on this machine."""

from typing import Annotated

import typer

from bench.errors import BenchError, UsageProblem
from bench.run import Plan, run
from bench.scale import FULL
from gridhaul.embedded.errors import EmbeddedError
from gridhaul.embedded.terminal import Interrupted, interruptible

SizeInMib = Annotated[int, typer.Option(min=8, metavar="MIB", help="Instead of 1024 MiB; all else alike.")]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, help=__doc__)


@app.callback(invoke_without_command=True)
def main(
    *,
    only: Annotated[str, typer.Option(help="Cases: ingest,egress. Without it all of them.")] = "",
    runs: Annotated[int, typer.Option(min=1, help="How often each is measured.")] = 5,
    size: SizeInMib = FULL.file_mib,
) -> None:
    """Measure, show the table, and write bench/latest.json."""
    plan = Plan(only=tuple(name for name in only.split(",") if name), runs=runs, scale=FULL.shrunk(size))
    try:
        with interruptible():
            run(plan)
    except Interrupted as interrupted:
        raise typer.Exit(interrupted.exit_code) from None
    except UsageProblem as error:
        raise typer.BadParameter(str(error)) from None
    except (BenchError, EmbeddedError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None


if __name__ == "__main__":
    app(prog_name="python -m bench")
