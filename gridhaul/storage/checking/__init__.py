"""The store's side of checks: their records, what they look at, and what they put right."""
