"""Django: a backend for its tasks, and management commands; an app for INSTALLED_APPS.

Tasks are those of ``django.tasks`` from Django 6 on, and before that of the package
``django-tasks``, which has the same.
"""

from windlass.errors import MissingExtra

try:
    import django  # noqa: F401
except ImportError as error:
    raise MissingExtra("django", "django") from error
