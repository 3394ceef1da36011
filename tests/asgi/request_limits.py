"""RequestLimits as they are by default."""

from gridhaul.asgi.request_limits import RequestLimits

REQUEST_LIMITS = RequestLimits(header_bytes=32 * 1024, body_bytes=64 * 1024, json_depth=32, stall_seconds=30)
