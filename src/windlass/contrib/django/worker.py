"""Where workers find the app of a backend: ``windlass.contrib.django.worker:ALIAS``.

Importing this sets Django up and imports the module ``tasks`` of each installed app, and the URLs
with the views, so that every task is known that these import.
"""

import importlib

import django
from django.apps import apps
from django.conf import settings
from django.utils.module_loading import autodiscover_modules

from windlass import App
from windlass.contrib.django.backend import WindlassBackend
from windlass.contrib.django.tasks_api import task_backends

if not apps.ready:
    django.setup()
autodiscover_modules("tasks")
if urls := getattr(settings, "ROOT_URLCONF", None):
    importlib.import_module(urls)


def __getattr__(alias: str) -> App:
    if alias not in task_backends.settings:
        raise AttributeError(alias)
    backend = task_backends[alias]
    if not isinstance(backend, WindlassBackend):
        raise AttributeError(alias)
    return backend.app_of_workers()
