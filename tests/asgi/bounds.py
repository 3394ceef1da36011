"""Bounds as they are by default."""

from gridhaul.asgi.bounds import Bounds

BOUNDS = Bounds(header_bytes=32 * 1024, body_bytes=64 * 1024, json_depth=32, stall_seconds=30)
