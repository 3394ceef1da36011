"""Ranges of bytes that a request asks for (RFC 9110, 14). Pure.

A range set is reduced to one range where ranges overlap or touch. If several are left, the whole content is the answer,
which RFC 9110 allows (14.2: "MAY ignore"), so that no answer of many parts is ever built.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal

from gridhaul.transfer.errors import RangeNotSatisfiable

_INT_RANGE = re.compile("([0-9]+)-([0-9]*)")
_SUFFIX_RANGE = re.compile("-([0-9]+)")


@dataclass(frozen=True, order=True, slots=True)
class ByteRange:
    """The bytes from `start` to `stop` (exclusive), at least one."""

    start: int
    stop: int

    @property
    def length(self) -> int:
        return self.stop - self.start

    def content_range(self, length: int) -> str:
        """Return `Content-Range` (RFC 9110, 14.4) for a content of `length` bytes."""
        return f"bytes {self.start}-{self.stop - 1}/{length}"


class _Malformed(Exception):
    """The field is no set of byte ranges."""


def requested_range(header: str, length: int) -> ByteRange | None:
    """Return the range that `Range` asks for in a content of `length` bytes; None means the whole content.

    A unit other than bytes, a malformed field, and several separate ranges mean the whole content. So does a suffix of
    an empty content: RFC 9110 calls it satisfiable, and no `Content-Range` can name its 0 bytes. Raises
    RangeNotSatisfiable. The time grows with the length of the field times its logarithm.
    """
    unit, _, specs = header.partition("=")
    if unit.strip().lower() != "bytes":
        return None
    try:
        ranges = [_resolved(spec, length) for spec in _listed(specs)]
    except _Malformed:
        return None
    satisfiable = [found for found in ranges if found is not None]
    if not satisfiable:
        raise RangeNotSatisfiable(length_bytes=length)
    joined = list(_joined(found for found in satisfiable if found.length))
    return joined[0] if len(joined) == 1 else None


def _listed(specs: str) -> list[str]:
    """Return the elements of a list (RFC 9110, 5.6.1.2), of which empty ones do not count."""
    found = [stripped for spec in specs.split(",") if (stripped := spec.strip(" \t"))]
    if not found:
        raise _Malformed
    return found


def _resolved(spec: str, length: int) -> ByteRange | None:
    """Return the bytes of the content that the range selects; None if the range is not satisfiable.

    Decimal takes numbers of any length, and int refuses those of more than 4,300 digits.
    """
    if suffix := _SUFFIX_RANGE.fullmatch(spec):
        wanted = int(min(Decimal(suffix[1]), Decimal(length)))
        return ByteRange(length - wanted, length) if Decimal(suffix[1]) else None
    found = _INT_RANGE.fullmatch(spec)
    if found is None:
        raise _Malformed
    first, last = Decimal(found[1]), Decimal(found[2] or "Infinity")
    if last < first:
        raise _Malformed
    if first >= length:
        return None
    return ByteRange(int(first), length if last >= length else int(last) + 1)


def _joined(ranges: Iterable[ByteRange]) -> Iterator[ByteRange]:
    """Yield the ranges in ascending order. Ranges that overlap or touch are one."""
    current: ByteRange | None = None
    for one in sorted(ranges):
        if current is not None and one.start <= current.stop:
            current = ByteRange(current.start, max(current.stop, one.stop))
            continue
        if current is not None:
            yield current
        current = one
    if current is not None:
        yield current
