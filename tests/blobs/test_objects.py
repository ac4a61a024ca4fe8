"""What ``Blobs`` promises, on a folder and on obstore's own store in memory."""

import asyncio
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from obstore.store import MemoryStore

from tests.forks import in_a_fork
from windlass.blobs.objects import FolderBlobs, ObjectBlobs, open_blobs
from windlass.errors import BadLargeResults, BlobsUnavailable

MakeBlobs = Callable[[], ObjectBlobs]


@pytest.fixture(params=["folder", "memory"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> MakeBlobs:
    """Make blobs that hold nothing yet."""
    if request.param == "folder":
        return lambda: FolderBlobs(tmp_path / "deep" / "results")
    return lambda: ObjectBlobs("memory:///", MemoryStore)


async def keys(blobs: ObjectBlobs, space: str) -> dict[str, int]:
    return {blob.key: blob.size_bytes async for page in blobs.list(space) for blob in page}


async def test_what_was_put_is_there_whole(make: MakeBlobs) -> None:
    blobs = make()
    await blobs.put("a/1", b"one")
    await blobs.put("a/2", b"x" * 7_000_000)
    await blobs.put("a/1", b"uno")

    assert await blobs.get("a/1", 100) == b"uno"
    assert await blobs.get("a/1", 3) == b"uno"
    assert await blobs.get("a/2", 7_000_000) == b"x" * 7_000_000


async def test_no_more_is_read_than_was_asked_for(make: MakeBlobs) -> None:
    blobs = make()
    await blobs.put("a/1", b"0123456789")

    assert await blobs.get("a/1", 4) == b"0123"


async def test_what_is_not_there_is_none(make: MakeBlobs) -> None:
    blobs = make()
    assert await blobs.get("a/1", 4) is None
    await blobs.put("a/2", b"")

    assert await blobs.get("a/1", 4) is None
    assert await blobs.get("a/2", 4) == b""


async def test_deleting_twice_is_no_error_and_hits_nothing_else(make: MakeBlobs) -> None:
    blobs = make()
    for n in range(5):
        await blobs.put(f"a/{n}", b"x")
    await blobs.delete(["a/0", "a/nope", "a/1"])
    await blobs.delete(["a/1", "a/2", "a/0"])

    assert set(await keys(blobs, "a")) == {"a/3", "a/4"}


async def test_a_listing_shows_one_space_in_pages(make: MakeBlobs) -> None:
    blobs = make()
    assert await keys(blobs, "a") == {}
    await blobs.put("a/0", b"xyz")
    await blobs.put("ab/0", b"")
    await asyncio.gather(*(blobs.put(f"a/{n:04}", b"") for n in range(600)))
    pages = [page async for page in blobs.list("a")]

    assert sorted(map(len, pages)) == [101, 500]
    assert {blob.key for page in pages for blob in page} == {
        "a/0",
        *(f"a/{n:04}" for n in range(600)),
    }
    assert (await keys(blobs, "a"))["a/0"] == 3


async def test_a_folder_that_cannot_be_made_is_an_outage_and_no_more(tmp_path: Path) -> None:
    place = tmp_path / "results"
    place.write_text("in the way")
    blobs = FolderBlobs(place)
    for ask in (
        lambda: blobs.put("a/1", b"x"),
        lambda: blobs.get("a/1", 1),
        lambda: blobs.delete(["a/1"]),
        lambda: keys(blobs, "a"),
    ):
        with pytest.raises(BlobsUnavailable, match=f"{place} cannot be reached: .*"):
            await ask()
    place.unlink()
    await blobs.put("a/1", b"x")

    assert await blobs.get("a/1", 1) == b"x"


def test_a_folder_without_write_permission_is_an_outage(tmp_path: Path) -> None:
    code = (
        "import asyncio\nfrom pathlib import Path\n"
        "from tests.forks import become_nobody\n"
        "from windlass.blobs.objects import FolderBlobs\n"
        "become_nobody()\n"
        f"asyncio.run(FolderBlobs(Path({str(tmp_path)!r})).put('a/1', b'x'))\n"
    )
    tmp_path.chmod(0o555)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert "BlobsUnavailable" in done.stderr.splitlines()[-1], done.stderr


async def test_a_process_forked_from_one_that_used_it_is_told_so(tmp_path: Path) -> None:
    blobs = FolderBlobs(tmp_path)
    await blobs.put("a/1", b"x")
    told = await asyncio.to_thread(in_a_fork, lambda: str(asyncio.run(blobs.get("a/1", 1))))

    assert "BadLargeResults" in told
    assert "start it afresh" in told


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("ftp://host/x", "nothing is known for the scheme 'ftp'"),
        ("memory:///", "nothing is known for the scheme 'memory'"),
        ("file://relative/x", "names no folder by its absolute path"),
        ("file:///", "names no folder"),
        ("file:///x?y=1", "names no folder"),
        ("s3:///prefix", "it names no bucket"),
        ("s3://bucket/p?secret=1", "Configuration key: 'secret' is not valid"),
        ("s3://bucket/p?timeout=5s", "Expected config prefix to start with aws_"),
        ("az://container/p", "Account must be specified"),
        ("s3://[bucket/p", "Invalid IPv6 URL"),
    ],
)
def test_a_url_that_names_no_place_is_refused(url: str, why: str) -> None:
    with pytest.raises(BadLargeResults) as told:
        open_blobs(url, "SHOWN")

    assert why in str(told.value)
    assert "setting large_results = 'SHOWN'" in str(told.value)
    assert "use file:///path/to/folder" in str(told.value)


def test_options_of_an_object_store_stand_in_its_url() -> None:
    url = "s3://bucket/p?region=eu-central-1&access_key_id=a&secret_access_key=b"
    blobs = open_blobs(url, "s3://bucket/p?***")

    assert blobs.url == "s3://bucket/p?***"
    assert "eu-central-1" in str(blobs._make().config)
    assert blobs._make().prefix == "p"


def test_without_the_library_the_error_names_the_extra() -> None:
    code = (
        "import sys; sys.modules['obstore'] = None\n"
        "from windlass.config import Settings\n"
        "from windlass.errors import MissingExtra\n"
        "from windlass.plugins import make_large_results\n"
        "large = make_large_results(Settings(large_results='file:///tmp/x'), 'sqlite:///x')\n"
        "try:\n    large.blobs\n"
        "except MissingExtra as error:\n    print(error)\n"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "pip install 'windlass[objects]'" in told.stdout
