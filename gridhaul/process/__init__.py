"""What every process needs before it can work: settings, logging, memory, threads."""
