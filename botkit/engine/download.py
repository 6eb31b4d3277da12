"""Brings one file over HTTP: resumed where it broke off, believed only when its SHA-256 is right.

What has come so far lies in ``NAME.part`` beside the target, so that the next try asks for the rest alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from botkit.engine.disk import Progress, sha256_of, writing
from botkit.errors import EnvironmentFailure

CONNECT_TIMEOUT_S = 4.0
READ_TIMEOUT_S = 20.0
MAX_FRUITLESS_TRIES = 4
"""How often in a row a try may end without a single new byte."""
FIRST_PAUSE_S = 0.5


class DownloadError(EnvironmentFailure):
    """A file could not be brought: nobody answers, there is none, or it is not the one that was meant."""


class _BrokenOffError(Exception):
    """This try ended early; another one may bring the rest."""


@dataclass(frozen=True)
class RemoteFile:
    """What to bring and how to know it: address, length and SHA-256 (hexadecimal)."""

    url: str
    n_bytes: int
    sha256: str
    headers: Mapping[str, str] = field(default_factory=dict)


def download(
    file: RemoteFile,
    target: Path,
    progress: Progress,
    *,
    pause: Callable[[float], None] = time.sleep,
    read_timeout_s: float = READ_TIMEOUT_S,
) -> None:
    """Bring *file* to *target*, which is either whole and verified or not there; free where it is already.

    Raises DownloadError, after which ``NAME.part`` may hold what came so far; EnvironmentFailure where the
    disk refuses.
    """
    if target.is_file() and target.stat().st_size == file.n_bytes and sha256_of(target) == file.sha256:
        return
    part = target.with_name(f"{target.name}.part")
    resumed = part.is_file() and part.stat().st_size > 0
    timeout = httpx.Timeout(read_timeout_s, connect=CONNECT_TIMEOUT_S)
    with httpx.Client(timeout=timeout, follow_redirects=True) as client:
        _bring(client, file, part, progress, pause)
        if resumed and sha256_of(part) != file.sha256:
            # What an earlier try left was of another file.
            part.unlink()
            _bring(client, file, part, progress, pause)
    found = sha256_of(part)
    if found != file.sha256:
        part.unlink()
        raise DownloadError(f"{file.url} is not the file that was meant: its SHA-256 is {found}")
    with writing(target):
        part.replace(target)


def _bring(
    client: httpx.Client,
    file: RemoteFile,
    part: Path,
    progress: Progress,
    pause: Callable[[float], None],
) -> None:
    """Fill *part* up to the file's length, in as many tries as get on."""
    n_fruitless = 0
    while (before := _size(part)) != file.n_bytes:
        try:
            _try_once(client, file, part, progress)
        except _BrokenOffError as error:
            n_fruitless = n_fruitless + 1 if _size(part) <= before else 0
            if n_fruitless == MAX_FRUITLESS_TRIES:
                raise DownloadError(f"{file.url} cannot be brought: {error}") from error
            pause(FIRST_PAUSE_S * 2**n_fruitless)


def _try_once(client: httpx.Client, file: RemoteFile, part: Path, progress: Progress) -> None:
    start = _size(part)
    # Ranges count bytes of what is sent, so it must not be compressed.
    headers = {**file.headers, "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    try:
        with client.stream("GET", file.url, headers=headers) as response:
            if response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
                part.unlink()
                raise _BrokenOffError("the server does not have as much as we do")
            _check_status(response, file)
            _receive(response, file, part, progress, _first_byte(response, start))
    except (httpx.ConnectError, httpx.ConnectTimeout) as error:
        if not start:
            raise DownloadError(f"{file.url} cannot be reached: {_told(error)}") from error
        raise _BrokenOffError(_told(error)) from error
    except httpx.TransportError as error:
        raise _BrokenOffError(_told(error)) from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise DownloadError(f"{file.url} cannot be brought: {_told(error)}") from error


def _check_status(response: httpx.Response, file: RemoteFile) -> None:
    status = response.status_code
    if status >= 500 or status in (httpx.codes.REQUEST_TIMEOUT, httpx.codes.TOO_MANY_REQUESTS):
        raise _BrokenOffError(f"the server answers {status} {response.reason_phrase}")
    if status not in (httpx.codes.OK, httpx.codes.PARTIAL_CONTENT):
        raise DownloadError(
            f"{file.url} cannot be brought: the server answers {status} {response.reason_phrase}"
        )


def _first_byte(response: httpx.Response, start: int) -> int:
    """Return where the answer belongs: at *start*, or at 0 from a server that knows no ranges."""
    if response.status_code == httpx.codes.OK:
        return 0
    stated = response.headers.get("Content-Range", "nothing")
    if not stated.startswith(f"bytes {start}-"):
        raise DownloadError(f"{response.url}: the server sends {stated[:40]}, not what follows byte {start}")
    return start


def _receive(response: httpx.Response, file: RemoteFile, part: Path, progress: Progress, start: int) -> None:
    done = start
    with writing(part), part.open("r+b" if start else "wb") as written:
        written.seek(start)
        for piece in response.iter_raw():
            done += len(piece)
            if done > file.n_bytes:
                written.truncate(0)
                raise DownloadError(f"{file.url} is longer than the {file.n_bytes:,} bytes that were meant")
            written.write(piece)
            progress(done, file.n_bytes, f"downloading {file.url.rpartition('/')[2]}")
    if done < file.n_bytes:
        raise _BrokenOffError(f"it ends after {done:,} of {file.n_bytes:,} bytes")


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _told(error: Exception) -> str:
    return str(error) or type(error).__name__
