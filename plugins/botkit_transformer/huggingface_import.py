"""Turns a local Hugging Face folder into a model folder of ours, without loading its weights."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePath

from botkit.engine.checkpoint import CONFIG, WEIGHTS, TensorEntry, read_header, read_json_object
from botkit.engine.disk import copy, writing
from botkit.errors import ModelError
from botkit_transformer.families import expected_of
from botkit_transformer.safetensors_writer import ITEM_BYTES, n_bytes_of, write_safetensors
from botkit_transformer.weights import check_tensors, relevant

INDEX = "model.safetensors.index.json"
SINGLE = ("model.safetensors", WEIGHTS)
ALONGSIDE = (
    "tokenizer_config.json",
    "special_tokens_map.json",
    "generation_config.json",
    "chat_template.jinja",
)
"""Files that say more about tokenizer and generation; copied where they are."""
PIECE_BYTES = 16 << 20


def convert(path: Path, into: Path, progress: Callable[[int, int, str], None]) -> None:
    """Write ``config.json``, ``tokenizer.json`` and ``weights.safetensors`` into *into*.

    A single weights file is copied (a link would change with the original); shards are joined, streaming.
    Numbers keep their type.  Raises ModelError with one line for a folder that cannot be used,
    EnvironmentFailure where *into* cannot be written.
    """
    config = read_json_object(path / CONFIG)
    expected, tied = expected_of(config, str(path / CONFIG))
    if not (path / "tokenizer.json").is_file():
        raise ModelError(
            f"{path}: there is no tokenizer.json",
            hint="save it with transformers: AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)",
        )
    sources = _sources(path)
    stored = _stored(sources, path)
    names = relevant(stored, tied=tied)
    found = {name: stored[key][1].shape for name, key in names.items()}
    check_tensors(found, expected, str(path))
    for name, key in names.items():
        if stored[key][1].dtype not in ITEM_BYTES:
            raise ModelError(f"{path}: tensor '{name}' is {stored[key][1].dtype}, which is not supported")
    with writing(into):
        for name in (CONFIG, "tokenizer.json", *ALONGSIDE):
            if (path / name).is_file():
                shutil.copyfile(path / name, into / name)
        if len(sources) == 1:
            copy(sources[0], into / WEIGHTS, progress, "copying")
        else:
            _join({name: stored[key] for name, key in names.items()}, into / WEIGHTS, progress)


def _sources(path: Path) -> list[Path]:
    """Return the safetensors files of the folder."""
    for name in SINGLE:
        if (path / name).is_file():
            return [path / name]
    if (path / INDEX).is_file():
        return _shards(path)
    others = sorted(path.glob("*.safetensors"))
    if len(others) == 1:
        return others
    if any(file.suffix in (".bin", ".pt", ".pth", ".ckpt") for file in path.iterdir()):
        raise ModelError(
            f"{path}: its weights are pickles, which can run any program when read; they are refused",
            hint="convert them to safetensors, or fetch the model's safetensors files",
        )
    raise ModelError(f"{path}: there are no safetensors weights")


def _shards(path: Path) -> list[Path]:
    index = read_json_object(path / INDEX, max_bytes=64 << 20)
    places = index.get("weight_map")
    if not isinstance(places, dict) or not places:
        raise ModelError(f"{path / INDEX}: 'weight_map' is missing")
    shards = []
    for name in sorted({str(place) for place in places.values()}):
        if PurePath(name).name != name or not name.endswith(".safetensors"):
            raise ModelError(f"{path / INDEX}: '{name:.80}' is not the name of a safetensors file")
        if not (path / name).is_file():
            raise ModelError(f"{path}: {name} is missing", hint="the download is not complete")
        shards.append(path / name)
    return shards


def _stored(sources: list[Path], path: Path) -> dict[str, tuple[Path, TensorEntry]]:
    """Return where each tensor is stored; the headers are checked against their files."""
    stored: dict[str, tuple[Path, TensorEntry]] = {}
    for source in sources:
        for name, entry in read_header(source).items():
            if name in stored:
                raise ModelError(f"{path}: tensor '{name:.80}' is in two of its files")
            stored[name] = source, entry
    return stored


def _join(
    stored: Mapping[str, tuple[Path, TensorEntry]], target: Path, progress: Callable[[int, int, str], None]
) -> None:
    layout = {name: (entry.dtype, entry.shape) for name, (_, entry) in stored.items()}
    total = n_bytes_of(layout)

    def pieces() -> Iterator[bytes]:
        done = 0
        for source, entry in stored.values():
            with source.open("rb") as file:
                header_bytes = 8 + int.from_bytes(file.read(8), "little")
                file.seek(header_bytes + entry.start)
                left = entry.end - entry.start
                while left and (piece := file.read(min(left, PIECE_BYTES))):
                    left -= len(piece)
                    done += len(piece)
                    yield piece
                    progress(done, total, "joining")

    write_safetensors(target, layout, pieces())
