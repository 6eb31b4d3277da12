"""Public models on the Hugging Face hub: pinned files of a pinned revision.

``huggingface_hub`` knows where the hub is and whether it may be asked (HF_ENDPOINT, HF_HUB_OFFLINE).  Its own
download is not used: it takes half a minute to find out that there is no hub, and checks no hashes.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from botkit.engine.disk import Progress, writing
from botkit.engine.download import DownloadError, RemoteFile, download
from botkit.errors import BotkitError

ANSWERS_WITHIN_S = 6.0


@dataclass(frozen=True)
class HubModel:
    """Files of one repository: length in bytes and SHA-256 by name, the smallest first."""

    repository: str
    revision: str
    files: Mapping[str, tuple[int, str]]


def fetch_from_hub(
    model: HubModel,
    into: Path,
    progress: Progress,
    *,
    endpoint: str | None = None,
    answers_within_s: float = ANSWERS_WITHIN_S,
) -> None:
    """Bring the files of *model* into the folder *into*; those that are there already are not asked for.

    Raises DownloadError within a few seconds where the hub does not answer, else where it does not give the
    files that were meant; EnvironmentFailure where the disk refuses.
    """
    from huggingface_hub import hf_hub_url
    from huggingface_hub.constants import is_offline_mode

    if is_offline_mode():
        raise DownloadError("HF_HUB_OFFLINE is set")
    with writing(into):
        into.mkdir(parents=True, exist_ok=True)
    remote = {
        name: RemoteFile(
            hf_hub_url(model.repository, name, revision=model.revision, endpoint=endpoint),
            n_bytes,
            sha256,
            # The models are public: no token is sent, and nothing about this machine.
            {"User-Agent": "botkit"},
        )
        for name, (n_bytes, sha256) in model.files.items()
    }
    first = next(iter(remote))
    _bring_within(answers_within_s, remote[first], into / first)
    for name, file in remote.items():
        download(file, into / name, progress)


def _bring_within(limit_s: float, file: RemoteFile, target: Path) -> None:
    """Bring a small file, or raise DownloadError after *limit_s* seconds.

    A name server that does not answer, or one that names many unreachable addresses, would take minutes;
    neither knows of timeouts.
    """
    errors: list[BotkitError] = []

    def bring() -> None:
        try:
            download(file, target, lambda done, total, what: None, pause=lambda seconds: None)
        except BotkitError as error:
            errors.append(error)

    thread = threading.Thread(target=bring, name="hub-probe", daemon=True)
    thread.start()
    thread.join(limit_s)
    if thread.is_alive():
        raise DownloadError(f"{file.url} does not answer within {limit_s:g} s")
    if errors:
        raise errors[0]
