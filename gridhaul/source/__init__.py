"""Source files: found beneath an allowed root, opened, read, and watched for changes. This package knows no MongoDB."""
