"""Real servers that tests speak to, as context managers."""
