"""Uploads of chunks in any order."""
