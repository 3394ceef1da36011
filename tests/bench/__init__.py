"""Tests of the benchmark's own rules, without any server."""
