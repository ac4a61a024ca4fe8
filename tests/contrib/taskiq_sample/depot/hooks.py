"""The depot's middleware: it stamps what is sent and keeps a diary of what is run."""

from typing import Any

from taskiq import TaskiqResult
from taskiq.abc.middleware import TaskiqMiddleware
from taskiq.message import TaskiqMessage


class Diary(TaskiqMiddleware):
    """Writes down what passes, in the state of the broker."""

    def startup(self) -> None:
        self.broker.state.setdefault("diary", [])

    def pre_send(self, message: TaskiqMessage) -> TaskiqMessage:
        message.labels["stamped_by"] = "diary"
        return message

    async def post_send(self, message: TaskiqMessage) -> None:
        self.broker.state.sent = self.broker.state.get("sent", 0) + 1

    async def pre_execute(self, message: TaskiqMessage) -> TaskiqMessage:
        if message.labels.get("diary"):
            self._write("pre_execute", message, [message.args, message.kwargs])
        if "double" in message.labels:
            message.args = [2 * each for each in message.args]
        return message

    def on_error(
        self, message: TaskiqMessage, result: TaskiqResult[Any], exception: BaseException
    ) -> None:
        if message.labels.get("diary"):
            self._write("on_error", message, repr(exception))

    def post_execute(self, message: TaskiqMessage, result: TaskiqResult[Any]) -> None:
        if message.labels.get("diary"):
            self._write("post_execute", message, [result.is_err, result.return_value])
        if "rounded" in message.labels:
            result.return_value = round(result.return_value)

    async def post_save(self, message: TaskiqMessage, result: TaskiqResult[Any]) -> None:
        if message.labels.get("diary"):
            self._write("post_save", message, [result.is_err, result.return_value])

    def _write(self, what: str, message: TaskiqMessage, fact: Any) -> None:
        self.broker.state.diary.append([what, message.task_name, message.labels["diary"], fact])
