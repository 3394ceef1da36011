"""The Celery workers: they store files, deliver them, and clean up."""
