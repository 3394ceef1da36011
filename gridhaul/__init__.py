"""What the processes of Gridhaul share."""

__version__ = "0.1.0"
