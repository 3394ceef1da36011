"""The options of `gridhaul send` that make a batch of several files, and the parsers of their values."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from gridhaul.cli.batch_report import Papers
from gridhaul.cli.options import path_of, text_or_none, texts_of
from gridhaul.cli.path_list import ListOptions
from gridhaul.client import BatchOrder, BatchTarget
from gridhaul.client.batch_records import PATHS_AT_MOST
from gridhaul.transfer.model import IfExists
from gridhaul.transfer.origins import IfChanged
from gridhaul.transfer.skipping import SkipReason


class Links(StrEnum):
    SKIP = "skip"
    FOLLOW = "follow"


def path_or_none(value: str | None) -> str | None:
    return None if value is None else path_of(value)


def source_of(value: str) -> str:
    """Return the absolute path. A slash at its end stays: it says that a directory's own name is not wanted."""
    path = path_of(value)
    return f"{path}/" if value.endswith("/") and path != "/" else path


def writable_of(value: Path | None) -> Path | None:
    """Return the path of a file to write, which is made if it does not exist. Raises BadParameter."""
    if value is not None:
        try:
            value.open("ab").close()  # now: it would be a pity to learn after hours that nothing can be written
        except OSError as error:
            raise typer.BadParameter(f"{value} cannot be written: {error.strerror}") from None
    return value


Prefix = Annotated[
    str | None,
    typer.Option(metavar="PREFIX", callback=text_or_none, help="Comes before each name at the target, with a /."),
]
Exclude = Annotated[
    list[str] | None,
    typer.Option(
        "--exclude", metavar="PATTERN", callback=texts_of, help="Leave out what matches, as in gitignore. Repeatable."
    ),
]
Include = Annotated[
    list[str] | None,
    typer.Option(
        "--include", metavar="PATTERN", callback=texts_of, help="Take only what matches, as in gitignore. Repeatable."
    ),
]
Hidden = Annotated[bool | None, typer.Option("--hidden/--no-hidden", help="Take names that begin with a dot, or not.")]
LinksOption = Annotated[
    Links | None,
    typer.Option("--links", help="Skip symbolic links, or follow those that stay beneath their root on the server."),
]
Base = Annotated[
    str | None,
    typer.Option(metavar="DIR", callback=path_or_none, help="Make names relative to this directory of the server."),
]
Update = Annotated[
    bool,
    typer.Option(
        "--update",
        help="Send only what is new or has changed since it was last delivered to TARGET under its name. Nothing is "
        "deleted there.",
    ),
]
DryRun = Annotated[
    bool,
    typer.Option("--dry-run", help="Only say what would be sent and skipped; `gridhaul batch ID --start` sends it."),
]
Report = Annotated[
    Path | None,
    typer.Option(metavar="JSONL", callback=writable_of, help="Write a line of JSON for each file and skipped path."),
]
Sha256Sums = Annotated[
    Path | None,
    typer.Option("--sha256sums", metavar="SUMS", callback=writable_of, help="Write digests for `sha256sum -c`."),
]


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchOptions:
    """The options that only a batch has, as they were given."""

    prefix: str | None
    base: str | None
    include: list[str] | None
    exclude: list[str] | None
    hidden: bool | None
    links: Links | None
    listed: ListOptions
    update: bool
    dry_run: bool
    report: Path | None
    sha256sums: Path | None

    @property
    def any_given(self) -> bool:
        given = (self.prefix, self.base, self.include, self.exclude, self.links, self.listed.any_given)
        return self.hidden is not None or self.update or self.dry_run or self.papers.wanted or any(given)

    @property
    def papers(self) -> Papers:
        return Papers(report=self.report, sha256sums=self.sha256sums)

    @property
    def skipped_by_rule(self) -> frozenset[str]:
        """The reasons for which a path may be skipped without an error, because the user asked for that."""
        return frozenset({SkipReason.LINK.value}) if self.links is Links.SKIP else frozenset()

    def order(
        self, files: Sequence[str], targets: Sequence[str], *, if_exists: IfExists, if_changed: IfChanged
    ) -> BatchOrder:
        """Return the order. Raises BadParameter if there are no paths, or more than the api takes."""
        return BatchOrder(
            paths=self._paths(files),
            targets=tuple(BatchTarget(target=name, prefix=self.prefix, if_exists=if_exists) for name in targets),
            if_changed=if_changed,
            base=self.base,
            include=tuple(self.include or ()),
            exclude=tuple(self.exclude or ()),
            hidden=self.hidden,
            links=self.links.value if self.links else None,
            update=self.update,
            dry_run=self.dry_run,
        )

    def _paths(self, files: Sequence[str]) -> tuple[str, ...]:
        self.listed.require_fitting(files)
        paths = tuple(dict.fromkeys(map(source_of, files)))
        if not paths and not self.listed.any_given:
            raise typer.BadParameter("there is no path to send: name FILE, or a list by --files-from")
        if len(paths) > PATHS_AT_MOST:
            helps = "give them by --files-from, or name their directory"
            raise typer.BadParameter(f"at most {PATHS_AT_MOST:,} paths can be sent at once: {helps}")
        return paths
