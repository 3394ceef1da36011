"""Remote places that an operator configured, one file a kind."""
