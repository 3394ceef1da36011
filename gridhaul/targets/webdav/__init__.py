"""A WebDAV server (RFC 4918) as a target: PUT under a temporary name, then MOVE."""
