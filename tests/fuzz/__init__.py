"""Generated input for everything that reads input from outside: only documented errors, and no broken rule.

Every test of this package takes its settings from the Hypothesis profile `fuzz` (`tests/fuzz/conftest.py`).
"""
