"""The embedded default: the whole system as real processes on this machine."""
