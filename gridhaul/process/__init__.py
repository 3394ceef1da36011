"""Foundations of every process: settings, logging, memory and threads."""
