"""Uploads by Resumable Uploads for HTTP (IETF draft 12)."""
