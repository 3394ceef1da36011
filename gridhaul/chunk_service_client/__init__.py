"""The worker's side of the chunk service's protocol, and what both sides agree on: grants and the bundle's table."""
