"""A running system with two accounts of these tests and their records, none of which bad input may change."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from gridhaul.embedded.system import System
from tests.journeys.operator import Json, Operator, make_file, sha256_of
from tests.journeys.test_accounts import SCOPES, calling

LENGTH = 100_000
OWN = "bad-input-"  # the prefix of the usernames of these tests


@dataclass(frozen=True, kw_only=True)
class Bench:
    system: System
    operator: Operator
    root: Path
    http: httpx2.Client  # calls as an account with every scope except `admin`
    path: Path
    sha256: str
    file_id: str  # the file of `path`, stored and delivered
    delivery_id: str
    foreign_file_id: str
    foreign_delivery_id: str

    def prepare(self, path: object, **body: object) -> httpx2.Response:
        return self.http.post("/upload/prepare", json={"file_path": path, **body})

    def finalize(self, body: Json, *, file_id: str | None = None, **headers: str) -> httpx2.Response:
        """Finalize with these headers (`repr_digest="x"` sends `repr-digest`); without any, send the right digest."""
        named = {name.replace("_", "-"): value for name, value in headers.items()} or {"content-sha256": self.sha256}
        return self.http.post(f"/upload/{file_id or self.file_id}/finalize", json=body, headers=named)

    def filled(self, text: str) -> str:
        """Return the text with `{root}`, `{file_id}` and the other names of this bench replaced by their values."""
        for name in ("root", "path", "file_id", "delivery_id", "foreign_file_id", "foreign_delivery_id"):
            text = text.replace(f"{{{name}}}", str(getattr(self, name)))
        return text

    @contextmanager
    def unchanged(self) -> Iterator[None]:
        """Assert that the block adds, removes and changes no file, delivery or `used_bytes` of these accounts.

        The offset of an upload counts, too.
        """
        before = self._records()
        yield
        assert self._records() == before

    def _records(self) -> list[Any]:
        of_files = ("state", "error", "content_id", "length", "stored_bytes")
        fields = ("_id", *of_files, "object_name", "username", "used_bytes")
        with self.operator.database() as database:
            return [
                {name: record[name] for name in fields if name in record}
                for collection, owner in (("files", "owner"), ("deliveries", "owner"), ("auth", "username"))
                for record in database[collection].find({owner: {"$regex": f"^{OWN}"}}).sort("_id")
            ]


def key_of(operator: Operator, name: str, *, scopes: list[str] = SCOPES, **account: object) -> str:
    """Return an API key with these scopes. It belongs to a new account, which has all of `SCOPES`."""
    body = {"username": OWN + name, "scopes": SCOPES, **account}
    made = operator.http.post("/accounts", json=body)
    assert made.status_code == 201, made.text
    answer = operator.http.post("/keys", json={"name": "tests", "account": OWN + name, "scopes": scopes})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["key"])


@contextmanager
def bench_of(system: System, root: Path) -> Iterator[Bench]:
    """Yield a bench whose files lie in `root`, an empty directory beneath a root of the system."""
    operator = Operator(system)
    with ExitStack() as stack:
        stack.callback(operator.close)
        path = make_file(root / "delivered.bin", LENGTH)
        http, other = (stack.enter_context(calling(system, key_of(operator, name))) for name in ("caller", "other"))
        (file_id, delivery_id), foreign = (_delivered(operator, one, path) for one in (http, other))
        yield Bench(
            system=system,
            operator=operator,
            root=root,
            http=http,
            path=path,
            sha256=sha256_of(path),
            file_id=file_id,
            delivery_id=delivery_id,
            foreign_file_id=foreign[0],
            foreign_delivery_id=foreign[1],
        )


def _delivered(operator: Operator, http: httpx2.Client, path: Path) -> tuple[str, str]:
    """Return the ids of a new file of the client's account and of its delivery, after the delivery is done."""
    deliver_to = {"target": "directory", "if_exists": "rename"}
    answer = http.post("/upload/prepare", json={"file_path": str(path), "deliver_to": deliver_to})
    assert answer.status_code == 202, answer.text
    file_id = str(answer.json()["file_id"])
    return file_id, str(operator.delivered(file_id)["delivery_id"])
