"""Remote places that an operator configured, one file for each kind."""
