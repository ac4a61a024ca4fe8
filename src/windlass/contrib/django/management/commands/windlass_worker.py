"""``manage.py windlass_worker``: the same as ``manage.py windlass worker``."""

from windlass.contrib.django.management.commands.windlass import Command as WindlassCommand


class Command(WindlassCommand):
    """Runs a worker for the tasks of a backend."""

    help = "Run jobs until SIGTERM or Ctrl-C; options as of `windlass worker`."
    words = ("worker",)
