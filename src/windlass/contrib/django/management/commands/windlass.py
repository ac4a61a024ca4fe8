"""``manage.py windlass …``: the command line of Windlass, on the app of a backend."""

import argparse
import os
import runpy
import sys
from typing import Any

from django.core.management.base import BaseCommand

WORKERS = "windlass.contrib.django.worker"


class Command(BaseCommand):  # type: ignore[misc]
    """Runs ``windlass …`` with the app of a backend; ``--backend ALIAS`` says of which."""

    help = "The command line of Windlass, on the app of a task backend (--backend ALIAS)."
    words: tuple[str, ...] = ()  # they come first

    def run_from_argv(self, argv: list[str]) -> None:
        """Hand everything over to the command line, but ``--backend``."""
        parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
        parser.add_argument("--backend", default="default")
        asked, rest = parser.parse_known_args(argv[2:])
        os.environ["WINDLASS_APP"] = f"{WORKERS}:{asked.backend}"
        sys.argv = ["windlass", *self.words, *rest]
        runpy.run_module("windlass", run_name="__main__")

    def handle(self, *args: Any, **options: Any) -> None:
        """Do the same for ``call_command``."""
        self.run_from_argv(["manage.py", "windlass", *args])
