"""The settings of the project; the tests say in the environment where the stores are."""

import os

import django

SECRET_KEY = "no secret"
USE_TZ = True
ROOT_URLCONF = "urls"
ALLOWED_HOSTS = ["testserver"]
INSTALLED_APPS = ["windlass.contrib.django", "shop"]
if django.VERSION < (6, 0):
    INSTALLED_APPS.append("django_tasks")
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["PROJECT_DB"]}}
TASKS = {
    "default": {
        "BACKEND": "windlass.contrib.django.backend.WindlassBackend",
        "QUEUES": ["default", "mail"],
        "OPTIONS": {"store": os.environ["PROJECT_STORE"], "poll_interval_s": 0.05},
    },
    "other": {
        "BACKEND": "windlass.contrib.django.backend.WindlassBackend",
        "OPTIONS": {"store": os.environ["PROJECT_STORE"]},
    },
}
