"""Tasks as Django's documentation writes them."""

from django.db import connection
from django.dispatch import receiver

from shop.tasks_api import task, task_finished, task_started
from windlass import Retry

told = []


@receiver(task_started)
def note_start(sender, task_result, **kwargs):
    told.append(("started", task_result.id, str(task_result.status)))


@receiver(task_finished)
def note_finish(sender, task_result, **kwargs):
    told.append(("finished", task_result.id, str(task_result.status)))


@task
def what_was_told(job_id):
    return [[what, status] for what, known, status in told if known == job_id]


@task
def double(n):
    return 2 * n


@task
async def async_double(n):
    return 2 * n


@task
def echo(*args, **kwargs):
    return [args, kwargs]


@task(takes_context=True)
def attempt_of(context, factor):
    return [context.attempt * factor, context.task_result.id]


@task(takes_context=True)
async def async_attempt_of(context):
    return context.attempt


@task
def broken(why):
    raise ValueError(why)


@task
def not_json():
    return object()


@task(takes_context=True, windlass={"retry": Retry(3, delay=0.01)})
def third_time_lucky(context):
    if context.attempt < 3:
        raise OSError("not yet")
    return context.attempt


@task(queue_name="mail", priority=5)
def send():
    return "sent"


@task
def query():
    with connection.cursor() as cursor:
        cursor.execute("SELECT 41 + 1")
        return cursor.fetchone()[0]
