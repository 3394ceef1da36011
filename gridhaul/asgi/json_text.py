"""The check of JSON bodies: anything but I-JSON (RFC 7493) of bounded depth is refused before a route sees the body."""

import json
import math
import re
from collections.abc import Sequence
from itertools import accumulate
from typing import Any, NoReturn

from gridhaul.transfer.errors import InvalidValue, Malformed

# A string without a closing quote matches up to the end of the body, so that the search takes linear time.
STRING = re.compile(rb'"(?:[^"\\]|\\.)*+"?', re.DOTALL)
BRACKETS = b"[]{}"
OTHERS = bytes(set(range(256)) - set(BRACKETS))
STEP = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}


def check_json(body: bytes, *, max_depth: int) -> None:
    """Check that the body is I-JSON, nested at most `max_depth` levels deep.

    Raises Malformed, and InvalidValue for half of a surrogate pair, which no database and no answer can hold.
    """
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise Malformed("The body must be JSON in UTF-8.") from None
    if depth(body) > max_depth:
        raise Malformed(f"The body is JSON nested deeper than {max_depth} levels.")
    try:
        document = json.loads(text.removeprefix("\ufeff"), object_pairs_hook=_members, **_NUMBERS)
    except ValueError:
        raise Malformed("The body is not valid JSON.") from None
    try:
        json.dumps(document, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise InvalidValue("The text holds half of a surrogate pair, which is no character.") from None


def depth(body: bytes) -> int:
    """Return how deep the brackets outside of strings are nested. The body need not be valid JSON."""
    brackets = STRING.sub(b"", body).translate(None, OTHERS)
    return max(accumulate(STEP[bracket] for bracket in brackets), default=0)


def _members(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise Malformed("The body names a member of an object twice.")
    return members


def _integer(text: str) -> int:
    try:
        return int(text)
    except ValueError:  # Python converts at most 4300 digits
        raise Malformed("The body holds a number that is too large.") from None


def _number(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise Malformed("The body holds a number that is too large.")
    return number


def _refuse_constant(_: str) -> NoReturn:
    raise Malformed("The body holds NaN or Infinity, which JSON does not have.")


_NUMBERS: dict[str, Any] = {"parse_int": _integer, "parse_float": _number, "parse_constant": _refuse_constant}
