"""Uploads by requests with Content-Range."""
