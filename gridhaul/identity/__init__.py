"""Proofs of identity: password hashes and signed claims."""
