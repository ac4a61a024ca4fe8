"""An app whose first worker is killed between the put of a large result and its settling."""

import os
import signal
from pathlib import Path

from windlass import App
from windlass.blobs.objects import FolderBlobs

MARK = Path(os.environ["LARGE_APP_MARK"])
app = App()


@app.task(name="text")
async def text(size: int) -> str:
    return "x" * size


_put = FolderBlobs.put


async def put_and_die(self: FolderBlobs, key: str, data: bytes) -> None:
    await _put(self, key, data)
    if not MARK.exists():
        MARK.touch()
        os.kill(os.getpid(), signal.SIGKILL)


FolderBlobs.put = put_and_die  # type: ignore[method-assign]
