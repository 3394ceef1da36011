"""The servers that the cases of targets deliver to, one file for each program."""
