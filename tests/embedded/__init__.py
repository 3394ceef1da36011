"""Tests of the parts of the embedded system; tests/journeys run the whole system."""
