"""What Gridhaul is compared with."""
