"""Runs the command: `python -m gridhaul.cli`."""

from gridhaul.cli.app import main

main()
