"""The page, and what only browsers need."""
