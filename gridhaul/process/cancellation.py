"""Ends a background loop whose cancellation was lost below it, so that its process can stop."""

import asyncio


def end_if_cancelled() -> None:
    """Raise CancelledError if the current task was asked to end and has not ended.

    In Python 3.11 `asyncio.wait_for`, by which PyMongo waits for a server, loses the cancellation that comes in the
    same moment as its result. While a database is away, such results come often.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
