"""The request limits of these tests: the defaults, but bodies of at most 64 KiB."""

from gridhaul.asgi.request_limits import RequestLimits

REQUEST_LIMITS = RequestLimits(header_bytes=32 * 1024, body_bytes=64 * 1024, json_depth=32, stall_seconds=30)
