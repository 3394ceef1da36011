"""MongoDB behind the ports: the registry of records here, and packages for content bytes, checks and accounts."""
