"""Django's tasks, wherever they are: in Django itself, or in the package that it has them from."""

import importlib
from typing import Any

import django

from windlass.errors import MissingExtra


def _package() -> str:
    if django.VERSION >= (6, 0):
        return "django.tasks"
    try:
        importlib.import_module("django_tasks")
    except ImportError as error:
        raise MissingExtra("django", "django_tasks") from error
    return "django_tasks"


_NAME = _package()
task_backends: Any = importlib.import_module(_NAME).task_backends
base: Any = importlib.import_module(f"{_NAME}.base")
exceptions: Any = importlib.import_module(f"{_NAME}.exceptions")
signals: Any = importlib.import_module(f"{_NAME}.signals")
BaseTaskBackend: Any = importlib.import_module(f"{_NAME}.backends.base").BaseTaskBackend
normalize_json: Any = importlib.import_module(
    "django.utils.json" if _NAME == "django.tasks" else "django_tasks.utils"
).normalize_json
