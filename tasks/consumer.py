"""The part of a Celery worker that takes messages, without the parts that talk with other workers."""

from typing import Any

from celery.worker.consumer import Consumer as CeleryConsumer


class Consumer(CeleryConsumer):  # type: ignore[misc]
    """A consumer that neither asks other workers for their state nor listens to their events.

    Redis carries both, so keys and messages of other systems there could end the worker. The database has all state.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs | {"without_mingle": True, "without_gossip": True})
