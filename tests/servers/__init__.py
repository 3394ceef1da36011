"""Real servers for tests, as context managers."""
