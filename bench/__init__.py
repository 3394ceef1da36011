"""The benchmark: every case beside its peers, in one run, on one database. `python -m bench`."""
