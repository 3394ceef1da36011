"""Ids on the command line: a whole id, or an ending that only one of the newest records has."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain

import typer

from gridhaul.cli.connection import say
from gridhaul.cli.exits import Exit, leave
from gridhaul.cli.path_list import sources_of
from gridhaul.cli.table import shortened
from gridhaul.client import Client
from gridhaul.client.batch_records import BatchRecord
from gridhaul.client.records import CheckRecord, DeliveryRecord, FileRecord

NEWEST = 1000
ID_DIGITS = 24
ENDING_DIGITS = 4  # the shortest ending: shorter ones would often fit several records
PATHS_COLUMNS = 60
SAFE_DIGITS = 8  # the shortest ending if there may be older records, of which a shorter one could mean one


@dataclass(frozen=True, kw_only=True, slots=True)
class _Candidate:
    id: str
    line: str  # describes the record for somebody who has to choose


def id_of(value: str) -> str:
    """Return the id, or the ending of an id, in lower case. Raises BadParameter."""
    if not re.fullmatch(rf"[0-9a-fA-F]{{{ENDING_DIGITS},{ID_DIGITS}}}", value):
        raise typer.BadParameter(f"an id has {ID_DIGITS} hex digits; its last {ENDING_DIGITS} or more are enough")
    return value.lower()


def id_or_none(value: str | None) -> str | None:
    return None if value is None else id_of(value)


def ids_of(values: list[str]) -> list[str]:
    return [id_of(value) for value in values]


def whole_ids_of(values: list[str]) -> list[str]:
    """Return the ids in lower case. Raises BadParameter unless each is whole."""
    if not all(re.fullmatch(rf"[0-9a-fA-F]{{{ID_DIGITS}}}", value) for value in values):
        raise typer.BadParameter(f"an id has {ID_DIGITS} hex digits")
    return [value.lower() for value in values]


def resolve(client: Client, text: str) -> str:
    """Return the id of the file or delivery that `text` names: a whole id, or an ending as `id_of` returns it.

    A whole id costs no request, and is not looked up. An ending is looked for among the newest files and deliveries:
    if several have it, exit with USAGE and print them; if none has it, exit with NOT_FOUND. Raises ClientError.
    """
    return resolve_all(client, [text])[0]


def resolve_all(client: Client, texts: Sequence[str]) -> list[str]:
    """Return the id for each text, as `resolve` does. The records are fetched once."""
    return _resolved(texts, "file or delivery", lambda: [_files(client), _deliveries(client)])


def resolve_stored(client: Client, texts: Sequence[str]) -> list[str]:
    """Return the id of the file or batch for each text, as `resolve_all` does."""
    return _resolved(texts, "file or batch", lambda: [_files(client), _batches(client)])


def resolve_batch(client: Client, text: str) -> str:
    """Return the id of the batch that `text` names, as `resolve` does."""
    return _resolved([text], "batch", lambda: [_batches(client)])[0]


def resolve_any(client: Client, texts: Sequence[str]) -> list[str]:
    """Return the id of the file, delivery or batch for each text, as `resolve_all` does."""
    kinds = "file, delivery or batch"
    return _resolved(texts, kinds, lambda: [_files(client), _deliveries(client), _batches(client)])


def resolve_check(client: Client, text: str) -> str:
    """Return the id of the check that `text` names, as `resolve` does."""
    return _resolved([text], "check", lambda: [_checks(client)])[0]


def _resolved(texts: Sequence[str], kind: str, newest: Callable[[], Sequence[Sequence[_Candidate]]]) -> list[str]:
    lists = [] if all(_is_whole(text) for text in texts) else newest()
    if any(len(one) >= NEWEST for one in lists):
        _require_safe(texts)
    candidates = list(chain.from_iterable(lists))
    return [text if _is_whole(text) else _only(text, kind, candidates) for text in texts]


def _require_safe(texts: Sequence[str]) -> None:
    """Exit with USAGE if an ending is so short that an older record, which was not fetched, may have it, too."""
    for text in texts:
        if len(text) < SAFE_DIGITS:
            why = f"there are more than {NEWEST:,} records, and an older one may end with {text}, too"
            leave(Exit.USAGE, f"gridhaul: {why}: give {SAFE_DIGITS} digits or more")


def _is_whole(text: str) -> bool:
    return len(text) == ID_DIGITS


def _only(ending: str, kind: str, candidates: Sequence[_Candidate]) -> str:
    found = [candidate for candidate in candidates if candidate.id.endswith(ending)]
    if not found:
        unknown = f"No {kind} among the newest {NEWEST:,} has an id that ends with {ending}"
        leave(Exit.NOT_FOUND, f"ERROR not_found: {unknown}; a whole id always works.")
    if len(found) > 1:
        for candidate in found:
            say(candidate.line)
        leave(Exit.USAGE, f"gridhaul: {len(found)} ids end with {ending}: give more digits of the one that you mean")
    return found[0].id


def _files(client: Client) -> list[_Candidate]:
    return [_file(file) for file in client.files(states=(), limit=NEWEST)]


def _deliveries(client: Client) -> list[_Candidate]:
    return [_delivery(delivery) for delivery in client.all_deliveries(states=(), limit=NEWEST)]


def _checks(client: Client) -> list[_Candidate]:
    return [_check(check) for check in client.checks(limit=NEWEST)]


def _batches(client: Client) -> list[_Candidate]:
    return [_batch(batch) for batch in client.batches.newest(states=(), limit=NEWEST)]


def _file(file: FileRecord) -> _Candidate:
    return _Candidate(id=file["file_id"], line=f"file {file['file_id']} {file['state']} {file['name']}")


def _delivery(delivery: DeliveryRecord) -> _Candidate:
    record_id, where = delivery["delivery_id"], f"{delivery['target']}: {delivery['object_name']}"
    return _Candidate(id=record_id, line=f"delivery {record_id} {delivery['state']} {where}")


def _check(check: CheckRecord) -> _Candidate:
    return _Candidate(id=check["check_id"], line=f"check {check['check_id']} {check['state']} {check['kind']}")


def _batch(batch: BatchRecord) -> _Candidate:
    record_id, paths = batch["batch_id"], " ".join(sources_of(batch))
    return _Candidate(id=record_id, line=f"batch {record_id} {batch['state']} {shortened(paths, PATHS_COLUMNS)}")
