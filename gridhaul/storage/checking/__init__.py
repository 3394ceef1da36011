"""The store's side of checks: the records of checks, reads of all that can be wrong, and repairs."""
