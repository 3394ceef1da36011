"""Passwords: hashing and verifying never wait for the event loop's default threads."""

import asyncio
import os
import threading

from gridhaul.identity.passwords import Passwords

DEFAULT_THREADS = min(32, (os.cpu_count() or 1) + 4)  # the size of asyncio's default executor


async def test_password_is_verified_while_every_thread_of_the_loop_hangs() -> None:
    passwords, let_go = Passwords(), threading.Event()
    hanging = [asyncio.create_task(asyncio.to_thread(let_go.wait)) for _ in range(DEFAULT_THREADS)]
    await asyncio.sleep(0)  # let each task take its thread, or its place in the queue
    try:
        async with asyncio.timeout(60):
            assert await passwords.match("right", await passwords.hashed("right"))
            assert not await passwords.match("wrong", None)
    finally:
        let_go.set()
        await asyncio.gather(*hanging)
