"""What Django's documentation promises of a task backend, on this one, beside a real worker."""

import time
from datetime import timedelta

from django.test import SimpleTestCase
from django.utils import timezone

from shop import tasks, views
from shop.tasks_api import (
    TaskResultDoesNotExist,
    TaskResultMismatch,
    TaskResultStatus,
    default_task_backend,
    task_enqueued,
)


def finished(result):
    ends_at = time.monotonic() + 20
    while not result.is_finished:
        assert time.monotonic() < ends_at, result
        time.sleep(0.01)
        result.refresh()
    return result


def value(result):
    return finished(result).return_value


class Tasks(SimpleTestCase):
    def test_a_task_runs_and_its_result_is_had_from_anywhere(self):
        result = tasks.double.enqueue(21)
        assert result.status == TaskResultStatus.READY
        assert result.enqueued_at is not None
        assert value(result) == 42

        again = tasks.double.get_result(result.id)
        assert again.status == TaskResultStatus.SUCCESSFUL
        assert (again.args, again.kwargs, again.return_value) == ([21], {}, 42)
        assert again.task == tasks.double
        assert again.attempts == 1
        assert again.enqueued_at <= again.started_at <= again.finished_at
        assert default_task_backend.get_result(result.id).id == result.id

    def test_before_the_end_the_value_cannot_be_had(self):
        result = tasks.double.using(run_after=timezone.now() + timedelta(hours=1)).enqueue(1)
        with self.assertRaisesMessage(ValueError, "not finished"):
            _ = result.return_value
        result.refresh()
        assert result.status == TaskResultStatus.READY

    def test_run_after_is_kept(self):
        begun = timezone.now()
        result = tasks.double.using(run_after=begun + timedelta(seconds=1)).enqueue(1)
        assert finished(result).started_at >= begun + timedelta(seconds=1)

    def test_arguments_go_through_json(self):
        result = tasks.echo.enqueue((1, 2), key={"a": (3,)})
        assert result.args == [[1, 2]]
        assert value(result) == [[[1, 2]], {"key": {"a": [3]}}]
        with self.assertRaises(TypeError):
            tasks.echo.enqueue(object())

    def test_async_tasks_run_too(self):
        assert value(tasks.async_double.enqueue(4)) == 8
        assert value(tasks.async_attempt_of.enqueue()) == 1

    def test_the_context_knows_the_attempt_and_the_result(self):
        result = tasks.attempt_of.enqueue(7)
        assert value(result) == [7, result.id]

    def test_an_error_is_told(self):
        result = finished(tasks.broken.enqueue("out of order"))
        assert result.status == TaskResultStatus.FAILED
        [error] = result.errors
        assert error.exception_class is ValueError
        assert "out of order" in error.traceback
        assert "attempts.py" not in error.traceback.splitlines()[-2]
        with self.assertRaisesMessage(ValueError, "failed"):
            _ = result.return_value

    def test_what_is_no_json_cannot_be_returned(self):
        assert finished(tasks.not_json.enqueue()).errors[0].exception_class is TypeError

    def test_a_task_may_be_retried_as_windlass_does(self):
        result = tasks.third_time_lucky.enqueue()
        assert value(result) == 3
        assert [error.exception_class for error in result.errors] == [OSError, OSError]
        assert result.attempts == 3
        assert value(tasks.what_was_told.enqueue(result.id)) == [
            *[["started", "RUNNING"]] * 3,
            ["finished", "SUCCESSFUL"],
        ]

    def test_queue_and_priority_are_kept(self):
        result = tasks.send.using(priority=-3).enqueue()
        assert value(result) == "sent"
        assert (result.task.queue_name, result.task.priority) == ("mail", -3)

    def test_a_result_of_another_task_or_of_none_is_refused(self):
        result = tasks.double.enqueue(1)
        with self.assertRaises(TaskResultMismatch):
            tasks.send.get_result(result.id)
        with self.assertRaises(TaskResultDoesNotExist):
            tasks.double.get_result("no-such-id")

    def test_signals_are_sent(self):
        seen = []

        def note(sender, task_result, **kwargs):
            seen.append((sender, task_result.id))

        task_enqueued.connect(note)
        result = finished(tasks.broken.enqueue("x"))
        task_enqueued.disconnect(note)
        assert [job_id for _, job_id in seen] == [result.id]
        assert value(tasks.what_was_told.enqueue(result.id)) == [
            ["started", "RUNNING"],
            ["finished", "FAILED"],
        ]

    def test_tasks_use_the_database(self):
        assert [value(tasks.query.enqueue()) for _ in range(3)] == [42, 42, 42]

    def test_a_task_beside_a_view_is_known_to_workers(self):
        assert value(views.defined_beside_a_view.enqueue(1)) == 2

    def test_views_enqueue(self):
        for path in ("/start/4", "/async/4"):
            result = tasks.double.get_result(self.client.get(path).content.decode())
            assert value(result) == 8

    async def test_all_of_it_in_async_code(self):
        result = await tasks.double.aenqueue(5)
        response = await self.async_client.get("/async/6")
        for each in (result, await tasks.double.aget_result(response.content.decode())):
            while not each.is_finished:
                await each.arefresh()
        assert result.return_value == 10
