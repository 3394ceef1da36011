"""Measures how long `GET /files` takes while the number of records grows. Records are inserted without the api."""

from collections.abc import Mapping

from bson import ObjectId
from pymongo.collection import Collection

from bench.case import Bench
from bench.installation import Installation
from bench.operator import Operator
from bench.peers.gridfs import Document
from bench.result import Figure, Goal, percentile
from bench.timing import timed

UNIT = "ms"
AT_MOST = Goal("≤", 2)
OWNERS = tuple(f"owner{number}" for number in range(10))
STATES = ("STORED",) * 9 + ("FAILED",)  # final states, so that no worker works on the records
BATCH = 5_000
WARM_UPS = 50

Latencies = Mapping[str, list[float]]  # milliseconds by kind of page


def measure_listings(bench: Bench) -> list[Figure]:
    """Return p50 and p99 of each kind of page at each number of records, and the growth of p99 from fewest to most."""
    source = bench.stand.sources.many(1, 1)[0]
    found: dict[int, Latencies] = {}
    with bench.stand.beside("listing", {}) as installation:
        pattern = _pattern(installation, installation.operator.store(source))
        with installation.operator_with(_key_of_an_owner(installation)) as owner:
            for records in bench.scale.records:
                bench.display.expect(1)
                bench.display.begins(f"listing {records:,} records")
                _fill(installation, pattern, up_to=records)
                installation.settle()
                found[records] = _ask(installation, owner, bench.scale.requests)
                bench.display.ends(f"listed {records:,} records")
    return [*_figures(found), *_growth(found)]


def _pattern(installation: Installation, file_id: str) -> Document:
    """Return the file's record, as api and worker have written it."""
    document = _files(installation).find_one({"_id": ObjectId(file_id)})
    assert document is not None, "it was stored"  # noqa: S101
    return document


def _key_of_an_owner(installation: Installation) -> str:
    operator, username = installation.operator, OWNERS[0]
    operator.post("/accounts", {"username": username, "scopes": ["read"]})
    return str(operator.post("/keys", {"name": "bench", "account": username})["key"])


def _fill(installation: Installation, pattern: Document, *, up_to: int) -> None:
    files = _files(installation)
    begin = files.estimated_document_count()
    for first in range(begin, up_to, BATCH):
        numbers = range(first, min(first + BATCH, up_to))
        files.insert_many([_record(pattern, number) for number in numbers], ordered=False)


def _record(pattern: Document, number: int) -> Document:
    """Return a copy of the pattern with a new id. Over all numbers, each owner has records in every state."""
    owner, state = OWNERS[number % len(OWNERS)], STATES[number // len(OWNERS) % len(STATES)]
    return {**pattern, "_id": ObjectId(), "content_id": ObjectId(), "owner": owner, "state": state}


def _ask(installation: Installation, owner: Operator, requests: int) -> Latencies:
    """Return the latencies of `requests` requests for each kind of page, sent in turn."""
    everybody = installation.operator
    pages: dict[str, tuple[Operator, str]] = {
        "first page": (everybody, "/files"),
        "later page": (everybody, f"/files?cursor={_middle(installation)}"),
        "one state": (everybody, "/files?state=FAILED"),
        "one owner": (owner, "/files"),
    }
    latencies: dict[str, list[float]] = {kind: [] for kind in pages}
    for _ in range(WARM_UPS + requests):
        for kind, (operator, path) in pages.items():
            latencies[kind].append(timed(lambda: operator.http.get(path).raise_for_status())[0] * 1000)  # noqa: B023
    return {kind: values[WARM_UPS:] for kind, values in latencies.items()}


def _middle(installation: Installation) -> ObjectId:
    """Return the id in the middle of all ids."""
    files = _files(installation)
    half = files.estimated_document_count() // 2
    return ObjectId(files.find({}, {"_id": 1}).sort("_id").skip(half).limit(1)[0]["_id"])


def _files(installation: Installation) -> Collection[Document]:
    return installation.mongo[installation.database]["files"]


def _figures(found: Mapping[int, Latencies]) -> list[Figure]:
    return [
        Figure(what=f"GET /files, {kind} of {records:,} records, p{percent}", value=value, unit=UNIT)
        for records, latencies in found.items()
        for kind, values in latencies.items()
        for percent, value in ((50, percentile(values, 50)), (99, percentile(values, 99)))
    ]


def _growth(found: Mapping[int, Latencies]) -> list[Figure]:
    fewest, most = min(found), max(found)
    return [
        Figure(
            what=f"GET /files, {kind}, p99 of {most:,} records by p99 of {fewest:,}",
            value=percentile(found[most][kind], 99) / percentile(found[fewest][kind], 99),
            unit="",
            goal=AT_MOST,
        )
        for kind in found[fewest]
    ]
