"""Checks: one file for each family of findings."""
