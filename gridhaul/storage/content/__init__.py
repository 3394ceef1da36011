"""The bytes of contents: stored in two layouts, sealed by a manifest, and read back verified."""
