"""The stages of checks: one module for each family of findings."""
