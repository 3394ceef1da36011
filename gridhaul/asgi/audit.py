"""The audit log: one line for each login, key or account changed, delete and refusal, among the others on stderr.

Each has `"event": "audit"`, and the request's id, account and key as far as they are known.
"""

import structlog

log = structlog.get_logger(__name__)


def audit(action: str, **facts: object) -> None:
    """No secrets, no paths: ids, names of accounts, codes."""
    log.info("audit", action=action, **facts)
