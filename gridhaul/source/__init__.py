"""Source files, found beneath an allowed root, opened, read, and watched for changes. Nothing here knows MongoDB."""
