"""The public HTTP service."""
