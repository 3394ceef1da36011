"""HTTP as a client: the one factory of clients, TLS, bodies that are sent in threads, and header fields."""
