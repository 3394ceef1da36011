"""Tests of the SFTP target, against OpenSSH's `sshd` and `rclone serve sftp`."""
