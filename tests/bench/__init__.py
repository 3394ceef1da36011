"""The benchmark's own rules, without any server."""
