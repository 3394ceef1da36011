"""Requests and texts that nobody thought of: schemathesis over both services, Hypothesis over the parsers."""
