"""The api within the test's own loop: real routes over a real MongoDB, and hints that are only written down."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import httpx2

from api.app import create_app
from api.dependencies import Service
from api.download import download_slots
from gridhaul.asgi import chain
from gridhaul.asgi.readiness import Readiness
from gridhaul.storage.checks import MongoChecks
from gridhaul.transfer.model import Hint
from tests.asgi.bounds import BOUNDS
from tests.contracts.ports import Ports

TOKEN = "t" * 32


@dataclass(frozen=True, kw_only=True, slots=True)
class Api:
    http: httpx2.AsyncClient
    hints: list[Hint]

    def hinted(self) -> list[tuple[str, str]]:
        return [(hint.task.value, hint.record_id) for hint in self.hints]


class _Heard:
    """Stands for the sender of hints."""

    def __init__(self, hints: list[Hint]) -> None:
        self._hints = hints

    def offer(self, hint: Hint) -> None:
        self._hints.append(hint)


async def _nothing() -> None:
    pass


@asynccontextmanager
async def serving(ports: Ports, *, root: Path = Path("/srv"), checks: MongoChecks | None = None) -> AsyncIterator[Api]:
    """The api over these ports; it knows the targets `archive` and `mirror`."""
    app, hints, ready = create_app(), list[Hint](), Readiness(_nothing)
    await ready.prepare()
    chain.start(app, BOUNDS, cors_origins=())
    app.state.service = Service(
        files=ports.files,
        deliveries=ports.deliveries,
        contents=ports.contents,
        checks=cast("MongoChecks", checks),  # None where no test asks for them
        downloads=download_slots(),
        hints=cast("Any", _Heard(hints)),
        indexes=ready,
        roots=(root,),
        targets=frozenset({"archive", "mirror"}),
        large_file_bytes=100,
        max_file_bytes=None,
        operator_token=TOKEN,
    )
    transport = httpx2.ASGITransport(app)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with httpx2.AsyncClient(transport=transport, base_url="http://api", headers=headers) as http:
        yield Api(http=http, hints=hints)
