"""Uploads: clients send the bytes of files. One core, and the doors to it (docs/uploads.md)."""
