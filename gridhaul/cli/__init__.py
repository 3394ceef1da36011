"""The command `gridhaul`: it speaks HTTP to the api and nothing else."""
