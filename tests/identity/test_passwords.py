"""Passwords are hashed and verified whatever else goes on."""

import asyncio
import os
import threading

from gridhaul.identity.passwords import Passwords

LOOPS_THREADS = min(32, (os.cpu_count() or 1) + 4)  # what asyncio has for everything


async def test_password_is_verified_while_every_thread_of_the_loop_hangs() -> None:
    passwords, let_go = Passwords(), threading.Event()
    hanging = [asyncio.create_task(asyncio.to_thread(let_go.wait)) for _ in range(LOOPS_THREADS)]
    await asyncio.sleep(0)  # each has its thread, or is the next in the queue
    try:
        async with asyncio.timeout(60):
            assert await passwords.match("right", await passwords.hashed("right"))
            assert not await passwords.match("wrong", None)
    finally:
        let_go.set()
        await asyncio.gather(*hanging)
