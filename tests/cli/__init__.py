"""The command against a real small server that plays scripted answers."""
