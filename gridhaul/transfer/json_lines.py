"""Reads manifests in JSON Lines: a path a line, and optionally the length and the digest that the file must have."""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from gridhaul.transfer.batches import Skipped
from gridhaul.transfer.errors import ManifestInvalid
from gridhaul.transfer.listed import Listed, Separator, listed_or_skipped, numbered_lines, of_bounded_length
from gridhaul.transfer.skipping import is_utf8

_KEYS = {"path", "length", "sha256"}
_HEX = re.compile("[0-9a-fA-F]{64}")


def parse_json_lines(chunks: Iterable[bytes], *, first_line: int = 1) -> Iterator[Listed | Skipped]:
    """Yield the files of JSON Lines. Each line is an object with `path`, and maybe `length` (bytes) and `sha256` (hex).

    Empty lines are passed over. Raises ManifestInvalid with the number of the line. A path that no file can be taken
    from is yielded as skipped.
    """
    for line, text in numbered_lines(chunks, Separator.NEWLINE, first_line=first_line):
        members = _object(line, of_bounded_length(line, text))
        yield listed_or_skipped(
            Listed(line=line, path=_path(line, members), length=_length(line, members), sha256=_sha256(line, members))
        )


def _object(line: int, text: bytes) -> dict[str, Any]:
    try:
        members = json.loads(text.decode(), object_pairs_hook=_once)
    except (ValueError, RecursionError):
        members = None
    if not isinstance(members, dict) or not members.keys() <= _KEYS:
        form = '{"path": "a.h5", "length": 5, "sha256": "…"}'
        raise ManifestInvalid(f"Line {line} must be like {form}; only the path is needed.")
    return members


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("A member occurs twice.")
    return members


def _path(line: int, members: dict[str, Any]) -> str:
    path = members.get("path")
    if not isinstance(path, str) or not path or not is_utf8(path):
        raise ManifestInvalid(f"Line {line}: path must be text that is not empty and valid Unicode.")
    return path


def _length(line: int, members: dict[str, Any]) -> int | None:
    length = members.get("length")
    if length is not None and (not isinstance(length, int) or isinstance(length, bool) or not 0 <= length < 2**63):
        raise ManifestInvalid(f"Line {line}: length must be a number of bytes.")
    return length


def _sha256(line: int, members: dict[str, Any]) -> str | None:
    sha256 = members.get("sha256")
    if sha256 is not None and (not isinstance(sha256, str) or not _HEX.fullmatch(sha256)):
        raise ManifestInvalid(f"Line {line}: sha256 must be 64 hex digits.")
    return sha256.lower() if sha256 is not None else None
