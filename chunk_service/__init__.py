"""The private service through which every chunk that a worker stores goes."""
