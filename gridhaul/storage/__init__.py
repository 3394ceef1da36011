"""Behind the ports: MongoDB and the source files."""
