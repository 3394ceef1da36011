"""Batches in MongoDB: their records, their lanes, their members, and what they skipped."""
