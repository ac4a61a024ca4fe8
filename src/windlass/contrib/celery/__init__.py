"""Celery: what is left of it on the day of the move."""
