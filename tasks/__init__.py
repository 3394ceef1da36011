"""The Celery workers: they store files, deliver files, clean up, and check what is stored."""
