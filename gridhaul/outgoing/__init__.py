"""HTTP as a client: the one factory of clients, TLS, bodies that threads send, repeats, and header fields."""
