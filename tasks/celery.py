"""The Celery application. `celery -A tasks.celery worker --loglevel=info` starts a worker.

Celery only wakes workers; MongoDB holds all that is to be done. Therefore a task is acknowledged when it starts, no
result is kept, and a lost message loses nothing.
"""

import sys
from typing import Any

from celery import Celery
from kombu.transport import TRANSPORT_ALIASES

from gridhaul.process.settings import SettingsError, WorkerSettings
from gridhaul.transfer.model import Queue
from tasks.queue import task_queues

# Kombu looks up a transport by the scheme of the broker's URL.
TRANSPORT_ALIASES |= dict.fromkeys(("redis", "rediss"), "tasks.transport:Transport")


def _configuration() -> dict[str, Any]:
    """Return the configuration. Celery calls this when the worker first reads a setting, not at import.

    A wrong setting ends the process, because Celery would print an exception with its traceback.
    """
    try:
        settings = WorkerSettings()
    except SettingsError as error:
        sys.exit(f"The worker cannot start: {error}")
    return {
        "broker_url": settings.redis_url.get_secret_value(),
        "broker_channel_error_retry": True,  # otherwise a command that Redis refuses ends the worker
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "broker_transport_options": {"socket_connect_timeout": 5, "socket_keepalive": True},
        "task_queues": task_queues(),
        "task_default_queue": Queue.SMALL.value,
        "task_ignore_result": True,
        "task_serializer": "json",
        "accept_content": ["json"],
        "worker_prefetch_multiplier": 1,
        "worker_disable_prefetch": True,  # otherwise a busy child reserves a message that an idle worker could run
        "worker_redirect_stdouts": False,
        "worker_enable_remote_control": False,  # any program that uses the same Redis could stop the workers
        "worker_consumer": "tasks.consumer:Consumer",
    }


app = Celery(
    "gridhaul",
    include=[
        "tasks.runtime",
        "tasks.upload_file",
        "tasks.expire_upload",
        "tasks.store_bundle",
        "tasks.finalize_file",
        "tasks.clean_delivery",
        "tasks.maintenance",
        "tasks.run_check",
        "tasks.run_batch",
        "tasks.take_due",
        "tasks.probe_target",
    ],
    set_as_current=False,
)
app.add_defaults(_configuration)
