"""MongoDB behind the ports: the registry of records here; bytes in `content`, checks in `checking`, `accounts`."""
