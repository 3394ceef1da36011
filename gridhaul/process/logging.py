"""Logging of every process of Gridhaul: one JSON object a line, on stderr."""

import sys
from logging import INFO, WARNING, getLogger

import structlog


def configure_logging() -> None:
    """Write JSON lines to stderr. Each line has the facts that are bound to its request or attempt."""
    getLogger("uvicorn.access").setLevel(WARNING)  # uvicorn logs queries at INFO, and a query can hold a link's token
    getLogger("httpx2").setLevel(WARNING)  # httpx2 logs whole URLs at INFO, and URLs hold names of objects
    getLogger("asyncssh").setLevel(WARNING)  # asyncssh logs commands at INFO, and commands hold names of objects
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(INFO),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
