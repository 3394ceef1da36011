"""Folders at SFTP servers: the SFTP protocol, version 3, with the extensions of OpenSSH (`PROTOCOL`, section 4)."""
