"""A shop: the sample app of the Celery front end."""

from shop.celery import app

__all__ = ["app"]
