"""The shared packages: everything that the processes of Gridhaul have in common."""

__version__ = "0.1.0"
