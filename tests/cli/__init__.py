"""Tests of the command against a small real server that plays scripted answers."""
