"""A database that is stopped while a content is read: a cancelled reader is free at once, and its threads end later."""

import asyncio
import signal
import threading
import time
from pathlib import Path

import pytest

from gridhaul.process.threads import in_thread
from gridhaul.storage.connect import connect
from gridhaul.storage.content.contents import MongoContents
from gridhaul.storage.content.intake import MongoIntake
from gridhaul.storage.schema import make_payload_collections
from tests.contracts.bytes_to_store import MIB, sealed, some_bytes
from tests.contracts.ports import eventually
from tests.servers.mongod import mongod_within

MORE_THAN_IS_READ_AHEAD = 96 * MIB
A_SECOND = 1.0


@pytest.mark.alone
@pytest.mark.parametrize("few_readers", [False, True])
async def test_reading_is_cancelled_within_about_a_second(tmp_path: Path, few_readers: bool) -> None:
    with mongod_within((), tmp_path / "mongod") as server:
        database = connect(server.url, "files")
        await make_payload_collections(database, block_compressor="none")
        contents = MongoContents(database, few_readers=few_readers)
        intake = MongoIntake(database, inline_limit_chunks=0)
        content = await sealed(contents, intake, some_bytes(MORE_THAN_IS_READ_AHEAD))
        chunks = contents.read(content)
        await in_thread(chunks.begin)
        server.process.send_signal(signal.SIGSTOP)
        try:
            using = asyncio.create_task(in_thread(lambda: [len(chunk) for chunk in chunks], when_cancelled=chunks.stop))
            await asyncio.wait([using], timeout=0.5)
            began = time.monotonic()
            using.cancel()
            with pytest.raises(asyncio.CancelledError):
                await using
            assert time.monotonic() - began < A_SECOND / 2
            await in_thread(chunks.close)
            assert time.monotonic() - began < 1.5 * A_SECOND
        finally:
            server.process.send_signal(signal.SIGCONT)

        async def all_have_ended() -> bool:
            names = {thread.name for thread in threading.enumerate()}
            return not names & {"reading", "hashing", "checking"}

        assert await eventually(all_have_ended)
        await database.client.close()
