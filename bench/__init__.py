"""The benchmark, `python -m bench`: every case and its peers are measured in one run, on one database server."""
