"""Streams of server-sent events: one reader of the process gives all listeners what changed."""
