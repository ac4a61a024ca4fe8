"""The place at which code that uses Celery looks for its logger."""
