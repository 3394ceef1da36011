"""The lines of `gridhaul batch`, and the table of `gridhaul batches`."""

import json
import shutil
import sys
from collections.abc import Mapping, Sequence

import typer

from gridhaul.cli.batch_progress import count, ended_early, failed_count
from gridhaul.cli.connection import say
from gridhaul.cli.path_list import sources_of
from gridhaul.cli.table import print_table, print_tabs, shortened
from gridhaul.cli.text import clause, size
from gridhaul.cli.times import shown_time
from gridhaul.client.batch_records import BATCH_OVER, BatchRecord, BatchTargetRecord, GroupRecord

HEADER = ("ID", "STATE", "FILES", "SIZE", "FAILED", "SKIPPED", "TARGET", "TIME", "PATHS")
UNKNOWN = "-"
PATHS_SHOWN = 10
PATHS_LEAST = 20  # columns


def batch_lines(batch: BatchRecord) -> list[str]:
    """Return what the batch was asked for with, and how far it has come."""
    error, waiting, paths = batch["error"], batch["waiting"], sources_of(batch)
    more = len(paths) - PATHS_SHOWN
    return [
        f"batch {batch['batch_id']} {batch['state']}",
        *(f"  path        {path}" for path in paths[:PATHS_SHOWN]),
        *([f"  and {more} more; --json shows all"] if more > 0 else []),
        *([f"  base        {batch['base']}"] if batch["base"] else []),
        *_choice_lines(batch),
        *(f"  to          {_target(wanted)}" for wanted in batch["deliver_to"]),
        *_counts_lines(batch),
        *([f"  error       {error['code']}: {error['detail']}"] if error else []),
        *([f"  waiting     {clause(waiting['detail'])}"] if waiting and waiting != error else []),
        f"  created     {shown_time(batch['created_at'])}",
        *([f"  ended       {shown_time(batch['ended_at'])}"] if batch["ended_at"] else []),
    ]


def plan_lines(batch: BatchRecord) -> list[str]:
    """Return what a batch that is PLANNED would do, and how to start it."""
    plan, batch_id = batch["plan"], batch["batch_id"]
    if plan is None:
        return []
    quota = plan["quota_free_bytes"]
    return [
        f"{batch['state']} {batch_id} {plan['files']} files {plan['bytes']} bytes",
        *(f"  largest     {size(one['length'])} {one['path']}" for one in plan["largest"]),
        *(f"  exist       {number:,} of the names at {target}" for target, number in plan["existing"].items()),
        *([] if quota is None else [f"  free        {size(quota)} of the quota"]),
        *(f"  free        {size(free)} at {target}" for target, free in plan["target_free_bytes"].items()),
        *(f"  not seen    {name}: {error['code']}: {error['detail']}" for name, error in plan["errors"].items()),
        f"  start it    gridhaul batch {batch_id} --start --follow",
    ]


def print_batches(batches: Sequence[BatchRecord]) -> None:
    """Print a table of the batches. A terminal gets what fits of the paths; elsewhere nothing is cut."""
    rows = [_row(batch) for batch in batches]
    if sys.stdout is None or not sys.stdout.isatty():
        print_tabs([HEADER, *rows] if rows else [])
    elif rows:
        fixed = sum(max(len(row[n]) for row in (HEADER, *rows)) + 2 for n in range(len(HEADER) - 1))
        room = max(shutil.get_terminal_size().columns - fixed, PATHS_LEAST)
        print_table(HEADER, [(*row[:-1], shortened(row[-1], room)) for row in rows])
    else:
        say("There are none.")


def print_batches_as_json(batches: Sequence[BatchRecord]) -> None:
    for batch in batches:
        typer.echo(json.dumps({"batch": batch}))


def _target(wanted: BatchTargetRecord) -> str:
    prefix = f"{wanted['prefix']}/" if wanted["prefix"] else ""
    return f"{wanted['target']}: {prefix}… (if one exists: {wanted['if_exists']})"


def _choice_lines(batch: BatchRecord) -> list[str]:
    choice = batch["choice"]
    return [
        *(f"  include     {pattern}" for pattern in choice["include"]),
        *(f"  exclude     {pattern}" for pattern in choice["exclude"]),
        *([] if choice["hidden"] else ["  without     names that begin with a dot"]),
        f"  links       {choice['links']}",
        *([f"  left out    {batch['excluded']:,} by patterns"] if batch["excluded"] else []),
        *([f"  unchanged   {batch['unchanged']:,} were delivered already"] if batch["update"] else []),
    ]


def _counts_lines(batch: BatchRecord) -> list[str]:
    counts = batch["counts"]
    if counts is None:
        return []
    return [
        f"  files       {_by_state(counts['files'])}{_about_the_rest(batch)}",
        *([f"  deliveries  {_by_state(counts['deliveries'])}"] if batch["deliver_to"] else []),
    ]


def _about_the_rest(batch: BatchRecord) -> str:
    """Return a clause about files that are not counted, because they were not registered; "" if there are none."""
    if ended_early(batch):
        return "; not every file was registered"
    if batch["state"] in BATCH_OVER or batch["registered"]:
        return ""
    return "; the rest is looked for after a resume" if batch["state"] == "PAUSED" else "; more are being looked for"


def _by_state(groups: Mapping[str, GroupRecord]) -> str:
    told = (f"{group['count']:,} {state} ({size(group['bytes'])})" for state, group in sorted(groups.items()))
    return ", ".join(told) or "none"


def _row(batch: BatchRecord) -> tuple[str, ...]:
    counts = batch["counts"]
    figures: tuple[str, ...] = (UNKNOWN,) * 4
    if counts is not None:
        numbers = (failed_count(counts), sum(counts["skipped"].values()))
        length = sum(group["bytes"] for group in counts["files"].values())
        figures = (f"{count(counts['files'])}", size(length), *map(str, numbers))
    targets = ", ".join(one["target"] for one in batch["deliver_to"]) or UNKNOWN
    time, paths = shown_time(batch["created_at"]), " ".join(sources_of(batch))
    return (batch["batch_id"], batch["state"], *figures, targets, time, paths)
