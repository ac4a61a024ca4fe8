"""Views that enqueue; a task may stand here too."""

from django.http import HttpResponse

from shop import tasks
from shop.tasks_api import task


@task
def defined_beside_a_view(n):
    return n + 1


def start(request, n):
    return HttpResponse(tasks.double.enqueue(n).id)


async def start_async(request, n):
    return HttpResponse((await tasks.double.aenqueue(n)).id)
