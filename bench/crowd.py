"""Stores and deletes many files at once over one connection pool, and counts finished files in the database."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import httpx2

from bench.loopback import async_client, client
from bench.operator import accepted
from bench.records import Records
from gridhaul.embedded.system import System

T = TypeVar("T")
R = TypeVar("R")

LANES = 16


class Crowd:
    def __init__(self, system: System, records: Records) -> None:
        self._system = system
        self._records = records

    def store(self, paths: Sequence[Path]) -> list[str]:
        """Prepare all files, LANES at a time, wait until all are STORED, and return their ids in any order."""
        before = self._records.count("STORED")
        file_ids = self._all(_prepare, paths)
        self._records.wait_for_count("STORED", before + len(paths))
        return file_ids

    def store_as_batch(self, paths: Sequence[Path]) -> list[str]:
        """Send the files, which are all in one directory, as a batch. Wait until all are STORED, and return their ids.

        The batch names the directory, as a person would: the worker that walks it belongs to what is measured.
        """
        before = self._records.count("STORED")
        with client(self._system.url, self._system.token) as http:
            batch = accepted(http.post("/batches", json={"paths": [f"{paths[0].parent}/"]}))
        self._records.wait_for_count("STORED", before + len(paths))
        return self._records.files_of_batch(batch["batch_id"])

    def delete(self, file_ids: Sequence[str]) -> None:
        """Delete all files, and wait until their stored bytes are removed."""
        before = self._records.count("DELETED")
        self._all(_delete, file_ids)
        self._records.wait_for_count("DELETED", before + len(file_ids))

    def _all(self, action: Callable[[httpx2.AsyncClient, T], Coroutine[Any, Any, R]], items: Iterable[T]) -> list[R]:
        return asyncio.run(self._in_lanes(action, items))

    async def _in_lanes(
        self, action: Callable[[httpx2.AsyncClient, T], Coroutine[Any, Any, R]], items: Iterable[T]
    ) -> list[R]:
        waiting = iter(items)
        results: list[R] = []
        async with async_client(self._system.url, self._system.token) as http:

            async def lane() -> None:
                for item in waiting:
                    results.append(await action(http, item))  # noqa: PERF401 - the lanes share one list

            await asyncio.gather(*(lane() for _ in range(LANES)))
        return results


async def _prepare(http: httpx2.AsyncClient, path: Path) -> str:
    return str(accepted(await http.post("/upload/prepare", json={"file_path": str(path)}))["file_id"])


async def _delete(http: httpx2.AsyncClient, file_id: str) -> None:
    accepted(await http.delete(f"/files/{file_id}"))
