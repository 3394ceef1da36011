"""Made-up input for whatever reads the outside's: never an error that is not documented, never a rule broken.

Every test here takes its settings from the profile `fuzz` (`tests/fuzz/conftest.py`).
"""
