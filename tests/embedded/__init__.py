"""The embedded default, piece by piece; the whole system runs in tests/journeys."""
