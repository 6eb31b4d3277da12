"""A download ends with the whole right file or with one line; a broken-off one goes on where it was."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from faulty_server import FaultyServer, serving
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from botkit.engine.download import MAX_FRUITLESS_TRIES, DownloadError, RemoteFile, download
from botkit.errors import EnvironmentFailure

CONTENT = bytes(range(256)) * 1000


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    with serving(FaultyServer({"/model": CONTENT})) as running:
        yield running


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "model"


def remote(server: FaultyServer, content: bytes = CONTENT, path: str = "/model") -> RemoteFile:
    return RemoteFile(server.url + path, len(content), hashlib.sha256(content).hexdigest())


def bring(file: RemoteFile, target: Path) -> list[float]:
    pauses: list[float] = []
    download(file, target, lambda done, total, what: None, pause=pauses.append)
    return pauses


def part_of(target: Path) -> Path:
    return target.with_name(f"{target.name}.part")


def test_a_file_comes_whole_and_leaves_no_part_behind(server: FaultyServer, target: Path) -> None:
    seen: list[tuple[int, int]] = []

    download(remote(server), target, lambda done, total, what: seen.append((done, total)))

    assert target.read_bytes() == CONTENT
    assert list(target.parent.iterdir()) == [target]
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert seen == sorted(seen)


def test_a_file_that_is_there_is_not_asked_for_again(server: FaultyServer, target: Path) -> None:
    bring(remote(server), target)
    bring(remote(server), target)

    assert len(server.asked) == 1


def test_a_file_of_another_content_is_replaced(server: FaultyServer, target: Path) -> None:
    target.write_bytes(bytes(len(CONTENT)))

    bring(remote(server), target)

    assert target.read_bytes() == CONTENT


def test_a_connection_that_is_cut_goes_on_where_it_was(server: FaultyServer, target: Path) -> None:
    server.faults = ["cut:1000", "cut:5", "cut:0", ""]

    bring(remote(server), target)

    assert target.read_bytes() == CONTENT
    assert server.ranges == ["", "bytes=1000-", "bytes=1005-", "bytes=1005-"]


def test_an_earlier_try_is_resumed(server: FaultyServer, target: Path) -> None:
    part_of(target).write_bytes(CONTENT[:777])

    bring(remote(server), target)

    assert target.read_bytes() == CONTENT
    assert server.ranges == ["bytes=777-"]


def test_an_earlier_try_that_was_complete_needs_no_server(server: FaultyServer, target: Path) -> None:
    part_of(target).write_bytes(CONTENT)

    bring(remote(server), target)

    assert target.read_bytes() == CONTENT
    assert server.asked == []


@pytest.mark.parametrize("left", [b"of another file", bytes(len(CONTENT)), bytes(len(CONTENT) + 1)])
def test_what_an_earlier_try_left_of_another_file_is_thrown_away(
    server: FaultyServer, target: Path, left: bytes
) -> None:
    part_of(target).write_bytes(left)

    bring(remote(server), target)

    assert target.read_bytes() == CONTENT


def test_a_server_without_ranges_sends_it_all_again(server: FaultyServer, target: Path) -> None:
    server.faults = ["cut:1000", "no ranges"]

    bring(remote(server), target)

    assert target.read_bytes() == CONTENT


def test_a_server_that_sends_another_range_is_not_believed(server: FaultyServer, target: Path) -> None:
    part_of(target).write_bytes(CONTENT[:777])
    server.faults = ["wrong range"]

    with pytest.raises(DownloadError, match="not what follows byte 777"):
        bring(remote(server), target)

    assert not target.exists()


def test_a_busy_server_is_asked_again_after_growing_pauses(server: FaultyServer, target: Path) -> None:
    server.faults = ["503", "429", "500", ""]

    pauses = bring(remote(server), target)

    assert target.read_bytes() == CONTENT
    assert pauses == sorted(set(pauses))


def test_a_server_that_never_gets_on_is_given_up_with_the_part_kept(
    server: FaultyServer, target: Path
) -> None:
    server.faults = ["cut:1000", "503"]

    with pytest.raises(DownloadError, match="answers 503") as caught:
        bring(remote(server), target)

    assert len(server.asked) == 1 + MAX_FRUITLESS_TRIES
    assert part_of(target).read_bytes() == CONTENT[:1000]
    assert not target.exists()
    assert "\n" not in caught.value.line()


@pytest.mark.parametrize("status", ["403", "404", "410"])
def test_a_refusal_is_final(server: FaultyServer, target: Path, status: str) -> None:
    server.faults = [status]

    with pytest.raises(DownloadError, match=f"answers {status}"):
        bring(remote(server), target)

    assert len(server.asked) == 1
    assert list(target.parent.iterdir()) == []


def test_another_file_than_was_meant_is_thrown_away(server: FaultyServer, target: Path) -> None:
    meant = bytes(len(CONTENT))

    with pytest.raises(DownloadError, match=r"not the file that was meant: its SHA-256 is [0-9a-f]{64}"):
        bring(remote(server, meant), target)

    assert list(target.parent.iterdir()) == []


def test_a_file_that_does_not_end_is_cut_off(server: FaultyServer, target: Path) -> None:
    with pytest.raises(DownloadError, match="longer than the 100 bytes"):
        bring(remote(server, CONTENT[:100]), target)

    assert not target.exists()
    assert part_of(target).stat().st_size <= 100


def test_a_server_that_says_nothing_is_given_up(target: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        file = RemoteFile(f"http://127.0.0.1:{silent.getsockname()[1]}/model", 1, "")
        with pytest.raises(DownloadError, match="timed out"):
            download(file, target, lambda done, total, what: None, pause=lambda s: None, read_timeout_s=0.05)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/model", "ftp://127.0.0.1/y", "no"])
def test_nobody_there_is_one_line_at_once(target: Path, url: str) -> None:
    with pytest.raises(DownloadError) as caught:
        bring(RemoteFile(url, 1, ""), target)

    assert "\n" not in caught.value.line()


def test_a_disk_that_refuses_is_one_line(server: FaultyServer, target: Path) -> None:
    part_of(target).symlink_to("/dev/full")

    with pytest.raises(EnvironmentFailure, match="the disk is full") as caught:
        bring(remote(server), target)

    assert not isinstance(caught.value, DownloadError)


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(cuts=st.lists(st.integers(1, 2000), max_size=8), left=st.integers(0, 3000))
def test_however_it_is_cut_the_file_comes_out_right(tmp_path_factory, cuts: list[int], left: int) -> None:
    target = tmp_path_factory.mktemp("cut") / "model"
    part_of(target).write_bytes(CONTENT[:left])
    faults = [*(f"cut:{n}" for n in cuts), ""]
    with serving(FaultyServer({"/model": CONTENT[:9000]}, faults)) as server:
        bring(remote(server, CONTENT[:9000]), target)

    assert target.read_bytes() == CONTENT[:9000]
