"""The audit log: one line on stderr for each login, change of a key or an account, delete, and refusal.

The lines stand among the other log lines. Each has `"event": "audit"`, and the request's id, account and key as far as
these are known.
"""

import structlog

log = structlog.get_logger(__name__)


def audit(action: str, **facts: object) -> None:
    """Log an action. `facts` are ids, usernames and codes, never secrets or paths."""
    log.info("audit", action=action, **facts)
