"""Do the faults of the table to real processes (`python -m tests.faults`)."""

import secrets
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from gridhaul.cli.options import length_of
from gridhaul.embedded.terminal import Interrupted, interruptible
from tests.faults import report
from tests.faults.catalogue import Row, choose, load_rows
from tests.faults.run import Result, Runner
from tests.faults.stands import Stands

LANES = 2

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, help=__doc__)


@app.command()
def main(
    *,
    runs: Annotated[int, typer.Option(min=1, help="How often each row runs.")] = 1,
    only: Annotated[str, typer.Option(help="Rows and scenarios to run: 7,8,storm. By default all rows.")] = "",
    seed: Annotated[str, typer.Option(help="Seed of the random moments. By default a new one.")] = "",
    lanes: Annotated[int, typer.Option(min=1, help="How many rows run side by side.")] = LANES,
    size: Annotated[
        int | None, typer.Option(parser=length_of, metavar="LENGTH", help="Length of the files of row 36, as 1GiB.")
    ] = None,
) -> None:
    """Run the rows, and exit with 1 if one failed."""
    try:
        rows = choose(load_rows(), [name for name in only.split(",") if name])
        number = int(seed) if seed else secrets.randbelow(1_000_000)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    console = report.console()
    console.print(f"seed {number}", highlight=False)
    try:
        with interruptible():
            results = _run(rows, runs, number, lanes, size, console)
    except Interrupted as interrupted:
        raise typer.Exit(interrupted.exit_code) from None
    raise typer.Exit(1 if any(result.failed for result in results) else 0)


def _run(rows: Sequence[Row], runs: int, seed: int, lanes: int, size: int | None, console: Console) -> list[Result]:
    """Run the rows and show the results. The output of a failed row names its logs, which are kept."""
    top = Path(tempfile.mkdtemp(prefix="gridhaul-faults-"))
    runner = Runner([Stands(top, lane=lane) for lane in range(1, lanes + 1)], seed=seed, size=size)
    try:
        with report.display(console, len(rows) * runs) as display:
            results = runner.run(rows, runs, display)
        report.show(console, results)
    finally:
        _remove(top, keep=runner.kept)
    return results


def _remove(top: Path, *, keep: list[Path]) -> None:
    """Remove the directories of all stands but those in `keep`, on which a row failed."""
    for stand in top.iterdir():
        if stand not in keep:
            shutil.rmtree(stand)
    if not keep:
        top.rmdir()


if __name__ == "__main__":
    app(prog_name="python -m tests.faults")
