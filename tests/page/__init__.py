"""The page in a real browser (Chromium), against the whole running system."""
