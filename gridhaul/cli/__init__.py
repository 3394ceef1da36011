"""The command `gridhaul`, which uses the HTTP API and no other part of the system."""
