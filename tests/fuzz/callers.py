"""The callers of the services: with the right token, without one, with a wrong one; and the stand's known values."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gridhaul.chunk_service_client.bundle_table import write_blocks, write_table
from gridhaul.chunk_service_client.grants import sign_bundle, sign_repair
from gridhaul.embedded.bootstrap import OPERATOR
from gridhaul.transfer.digest import content_sha256
from gridhaul.transfer.grants import BundleGrant, RepairGrant
from gridhaul.transfer.model import RecordId
from tests.fuzz.stand import OTHER, SPARE, TARGET, Stand

NOTHING = "0" * 24
MEANT = 0.7  # the probability that a parameter gets a known value of the stand instead of a generated one
# Only the caller with all rights runs the phase of edge cases: for the other callers, these requests say nothing more.
NO_EDGES = {"phases": {"coverage": {"enabled": False}}}
# Callers without a valid token skip what is open to everybody, and must get 401 for everything else.
OPEN = [
    {"include-path-regex": "^/(auth/|healthz|readyz)", "enabled": False},
    {"include-name": "OPTIONS /uploads", "enabled": False},
]
CLOSED = {"operations": OPEN, **NO_EDGES}

ENDING = ("DELETE /uploads/{upload_id}",)
OF_RANGES = ("PUT /uploads/{upload_id}", "POST /uploads/{upload_id}")
DOOMED = 2  # so many uploads may be ended, and the others go on


@dataclass(frozen=True, kw_only=True)
class Caller:
    """A caller of one service.

    `settings` are schemathesis' own, on top of schemathesis.toml; `words` are passed to the hooks; `share` is the part
    of the examples that this caller gets.
    """

    name: str
    url: str
    settings: Mapping[str, Any]
    words: Mapping[str, Any] = field(default_factory=dict)
    authorised: bool = True
    share: float = 1


def callers(stand: Stand) -> Iterator[Caller]:
    """Yield the callers of both services.

    The tokens of the chunk service expire, so each token is signed when its caller is asked for.
    """
    yield from _of_api(stand)
    yield from _of_chunk_service(stand)


def _of_api(stand: Stand) -> Iterator[Caller]:
    url, token = stand.system.url, stand.system.token
    spared = {OPERATOR: SPARE, OTHER: SPARE, _key_id(token): NOTHING, _key_id(stand.other_key): NOTHING}
    words = {"spared": spared}
    held = words | {"held_id": stand.held_upload_id}
    yield Caller(name="api", url=url, settings=_api(stand, token), words=held)
    foreign = words | {"foreign": [*stand.file_ids, *stand.delivery_ids, *stand.upload_ids, *stand.ranges_ids]}
    yield Caller(
        name="api, another account", url=url, settings=_api(stand, stand.other_key) | NO_EDGES, words=foreign, share=0.5
    )
    yield from _strangers("api", url, wrong_token="x" * 43)


def _of_chunk_service(stand: Stand) -> Iterator[Caller]:
    url = stand.system.chunk_service_url
    words = {
        "sealed_id": stand.sealed.content_id,
        "bundle": b"".join(write_blocks(write_table(stand.bundle), stand.bundle)).decode(),
    }
    yield Caller(name="chunk service", url=url, settings=_chunk_service(stand), words=words)
    yield from _strangers("chunk service", url, wrong_token=stand.open.token(secret="x" * 43))


def _strangers(service: str, url: str, *, wrong_token: str) -> Iterator[Caller]:
    yield Caller(name=f"{service}, no token", url=url, settings=CLOSED, authorised=False, share=0.2)
    wrong = CLOSED | _bearer(wrong_token)
    yield Caller(name=f"{service}, wrong token", url=url, settings=wrong, authorised=False, share=0.2)


def _api(stand: Stand, token: str) -> dict[str, Any]:
    values: dict[str, Sequence[str | int]] = {
        "path.file_id": stand.file_ids,
        "path.delivery_id": stand.delivery_ids,
        "path.check_id": stand.check_ids,
        "path.upload_id": stand.upload_ids,
        "path.first": [0, 1, 19, 20],
        "path.root_name": ["sources"],
        "query.path": ["", "folder", "leaving", "absent", ".."],
        "header.Lease-Fence": [1, 2, 3],
        "header.Upload-Offset": ["0"],
        "query.cursor": [*stand.file_ids, *stand.delivery_ids],
        "header.content-sha256": [stand.sha256, stand.sha256.upper(), "0" * 64],
        "path.username": [OPERATOR, OTHER, SPARE],
        "body.account": [SPARE],
        "body.file_path": stand.paths,
        "body.target": [TARGET],
        "body.deliver_to.target": [TARGET],
        "body.id": [*stand.file_ids, *stand.delivery_ids],
    }
    settings = _bearer(token) | _values(values)
    doomed = _values({"path.upload_id": stand.upload_ids[:DOOMED]}, names="doomed")
    settings["dictionaries"] |= doomed.pop("dictionaries")
    ranges = _values({"path.upload_id": stand.ranges_ids}, names="ranges")
    settings["dictionaries"] |= ranges.pop("dictionaries")
    operations = {**dict.fromkeys(ENDING, doomed), **dict.fromkeys(OF_RANGES, ranges)}
    return settings | {"operations": [{"include-name": name, **values} for name, values in operations.items()]}


def _chunk_service(stand: Stand) -> dict[str, Any]:
    """Return the settings for the chunk service.

    A repair needs a token of its own, for a sealed content; a bundle needs a token for its table of contents.
    """
    values: dict[str, Sequence[str | int]] = {
        "path.content_id": [stand.open.content_id],
        "path.first": [0, 1, 19, 20],
        "path.n": [0],
        "header.Lease-Fence": ["1"],
    }
    sealed = stand.sealed
    token = sign_repair(RepairGrant(content_id=RecordId(sealed.content_id)), secret=sealed.secret)
    repair = _bearer(token) | _values({"path.content_id": [sealed.content_id]}, names="sealed")
    settings = _bearer(stand.open.token()) | _values(values)
    settings["dictionaries"] |= repair.pop("dictionaries")
    table = BundleGrant(table_sha256=content_sha256(write_table(stand.bundle)))
    bundle = _bearer(sign_bundle(table, secret=sealed.secret))
    operations = {"PUT /contents/{content_id}/chunks/{n}/repair": repair, "POST /contents": bundle}
    return settings | {"operations": [{"include-name": name, **each} for name, each in operations.items()]}


def _bearer(token: str) -> dict[str, Any]:
    return {"headers": {"Authorization": f"Bearer {token}"}}


def _values(values: Mapping[str, Sequence[str | int]], *, names: str = "") -> dict[str, Any]:
    """Return settings that give parameters these known values.

    `names` is a prefix for the names of the dictionaries, where one parameter has two of them.
    """
    found = {place: names + place.replace(".", "-") for place in values}
    return {
        "dictionaries": {found[place]: {"values": list(values[place])} for place in values},
        "parameters": {place: {"dictionary": name, "probability": MEANT} for place, name in found.items()},
    }


def _key_id(key: str) -> str:
    return key.split("_")[1]
