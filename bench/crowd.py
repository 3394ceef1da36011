"""Many files at once, over one connection pool; whether they are done is counted in the database."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import httpx2
from pymongo.collection import Collection

from bench.errors import TransferFailed
from bench.loopback import async_client
from bench.operator import accepted
from bench.peers.gridfs import Document
from bench.timing import wait_for
from gridhaul.embedded.system import System

T = TypeVar("T")
R = TypeVar("R")

LANES = 8


class Crowd:
    def __init__(self, system: System, files: Collection[Document]) -> None:
        """`files` is the collection of the system's file records: asking the api for each would slow it down."""
        self._system = system
        self._files = files

    def store(self, paths: Sequence[Path]) -> list[str]:
        """Prepare all, eight at a time, and wait until all are STORED; their ids."""
        before = self._count("STORED")
        file_ids = self._all(_prepare, paths)
        wait_for(lambda: self._count("STORED") >= before + len(paths), what=f"{len(paths)} files are STORED")
        return file_ids

    def delete(self, file_ids: Sequence[str]) -> None:
        """Delete all, and wait until nothing of them is stored."""
        before = self._count("DELETED")
        self._all(_delete, file_ids)
        wait_for(lambda: self._count("DELETED") >= before + len(file_ids), what=f"{len(file_ids)} files are DELETED")

    def _count(self, state: str) -> int:
        if self._files.count_documents({"state": "FAILED"}, limit=1):
            raise TransferFailed(f"A file is FAILED: {self._files.find_one({'state': 'FAILED'}, {'error': 1})}")
        return self._files.count_documents({"state": state})

    def _all(self, action: Callable[[httpx2.AsyncClient, T], Coroutine[Any, Any, R]], items: Iterable[T]) -> list[R]:
        return asyncio.run(self._in_lanes(action, items))

    async def _in_lanes(
        self, action: Callable[[httpx2.AsyncClient, T], Coroutine[Any, Any, R]], items: Iterable[T]
    ) -> list[R]:
        waiting = iter(items)
        done: list[R] = []
        async with async_client(self._system.url, self._system.token) as http:

            async def lane() -> None:
                for item in waiting:
                    done.append(await action(http, item))  # noqa: PERF401 - the lanes share one list

            await asyncio.gather(*(lane() for _ in range(LANES)))
        return done


async def _prepare(http: httpx2.AsyncClient, path: Path) -> str:
    return str(accepted(await http.post("/upload/prepare", json={"file_path": str(path)}))["file_id"])


async def _delete(http: httpx2.AsyncClient, file_id: str) -> None:
    accepted(await http.delete(f"/files/{file_id}"))
