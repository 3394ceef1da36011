"""The bytes of contents: taken in, laid out in documents, sealed by a manifest, and read back verified."""
