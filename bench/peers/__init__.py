"""The programs and libraries that Gridhaul is compared with."""
