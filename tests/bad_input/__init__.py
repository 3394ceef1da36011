"""Input that is wrong: the answer is the client's fault, and the service goes on."""
