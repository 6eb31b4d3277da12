"""``botkit models``: one line for a person, one object for a script, one line for what goes wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from safetensors.torch import save_file
from tokenizers import Tokenizer, models

from botkit.cli.main import main
from botkit.cli.progress import ProgressDisplay

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*words: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(["models", *words, "--data", str(tmp_path / "data")])
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return call


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    """The smallest GPT-2 there can be, as a Hugging Face folder."""
    import torch
    from botkit_transformer.config import parse_config
    from botkit_transformer.gpt2 import expected_tensors

    folder = tmp_path / "Tiny GPT"
    folder.mkdir()
    config: dict[str, Any] = {
        "model_type": "gpt2", "vocab_size": 3, "n_embd": 4, "n_layer": 1, "n_head": 1, "n_positions": 16
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config))
    Tokenizer(models.WordLevel({"a": 0, "b": 1, "?": 2}, unk_token="?")).save(str(folder / "tokenizer.json"))
    tensors = {name: torch.zeros(shape) for name, shape in expected_tensors(parse_config(config)).items()}
    save_file(tensors, folder / "model.safetensors")
    return folder


def test_a_folder_is_pulled_listed_shown_exported_and_removed(run: Run, origin: Path, tmp_path: Path) -> None:
    at = tmp_path / "data" / "models" / "tiny-gpt"

    assert run("pull", str(origin))[:2] == (0, f"pulled tiny-gpt into {at}\n")
    assert run("pull", str(origin))[:2] == (0, f"tiny-gpt is here already: {at}\n")
    status, listed, _ = run("list")
    assert status == 0
    assert "tiny-gpt               gpt2, 0.0 million parameters, 0 MB, f32, licence not stated" in listed
    assert "echo                   answers at once" in listed
    assert "smollm2-135m-instruct  not here yet; botkit models pull smollm2-135m-instruct" in listed
    status, shown, _ = run("show", "tiny-gpt")
    assert status == 0
    assert "architecture    gpt2\n" in shown
    out = tmp_path / "out"
    assert run("export", "tiny-gpt", "--out", str(out))[:2] == (0, f"exported tiny-gpt to {out}\n")
    assert (out / "model.safetensors").read_bytes() == (origin / "model.safetensors").read_bytes()
    assert run("remove", "tiny-gpt")[:2] == (0, "removed tiny-gpt\n")
    assert not at.exists()


def test_scripts_get_one_object(run: Run, origin: Path, tmp_path: Path) -> None:
    at = str(tmp_path / "data" / "models" / "mine")

    def facts(*words: str) -> dict[str, Any]:
        status, out, _ = run(*words, "--json")
        assert status == 0
        return json.loads(out)

    assert facts("pull", str(origin), "--name", "mine") == {"name": "mine", "path": at, "pulled": True}
    assert facts("pull", str(origin), "--name", "mine") == {"name": "mine", "path": at, "pulled": False}
    listed = facts("list")
    shown = facts("show", "mine")
    assert listed["models"] == [shown]
    assert {one["name"] for one in listed["served"]} == {"echo"}
    assert {one["name"]: one["licence"] for one in listed["sources"]} == {
        "smollm2-135m-instruct": "Apache-2.0"
    }
    assert shown["architecture"] == "gpt2"
    assert shown["context_tokens"] == 16
    assert shown["source"] == f"{origin} ({origin.name})"
    assert len(shown["weights_sha256"]) == 64
    out = str(tmp_path / "out")
    exported = facts("export", "mine", "--format", "safetensors", "--out", out)
    assert exported == {"name": "mine", "path": out, "format": "safetensors"}
    assert facts("remove", "mine") == {"name": "mine"}
    assert facts("list")["models"] == []


def test_a_broken_model_does_not_hide_the_others(run: Run, origin: Path, tmp_path: Path) -> None:
    run("pull", str(origin))
    run("pull", str(origin), "--name", "whole")
    (tmp_path / "data" / "models" / "tiny-gpt" / "weights.safetensors").write_bytes(b"cut")

    status, out, _ = run("list", "--json")

    models = {one["name"]: one for one in json.loads(out)["models"]}
    assert status == 0
    assert "is truncated" in models["tiny-gpt"]["error"]
    assert models["whole"]["architecture"] == "gpt2"
    assert "tiny-gpt" in run("list")[1]
    assert run("show", "tiny-gpt")[0] == 1


@pytest.mark.parametrize(
    ("words", "status", "line"),
    [
        (("pull", "smollm2-135m-instrct"), 2, "did you mean 'smollm2-135m-instruct'?"),
        (("pull", "no/such/path"), 2, "there is no file or folder no/such/path"),
        (("pull", "PLACE"), 1, "PLACE is an empty folder"),
        (("pull", "PLACE", "--name", "../x"), 2, "'../x' is no name for a model"),
        (("pull", "PLACE", "--name", "echo"), 2, "'echo' is a model that a plugin serves"),
        (("show", "smollm2-135m-instruct"), 2, "bring it with: botkit models pull smollm2-135m-instruct"),
        (("remove", "x"), 2, "unknown model 'x'"),
        (("export", "x", "--out", "PLACE"), 2, "unknown model 'x'"),
        (("export", "x"), 2, "Missing option '--out'"),
        (("pull",), 2, "Missing argument 'NAME_OR_PATH'"),
    ],
)
def test_what_goes_wrong_is_one_line(
    run: Run, tmp_path: Path, words: tuple[str, ...], status: int, line: str
) -> None:
    place = tmp_path / "place"
    place.mkdir()
    said = run(*(word.replace("PLACE", str(place)) for word in words))

    assert said[0] == status
    assert said[1] == ""
    assert line.replace("PLACE", str(place)) in said[2]
    assert said[2].startswith("botkit: ")
    assert said[2].count("\n") == 1


def test_progress_is_a_line_every_few_seconds_where_there_is_no_terminal() -> None:
    now_s = [0.0]
    console = Console(file=StringIO(), force_terminal=False)
    with ProgressDisplay(console, clock_s=lambda: now_s[0]) as progress:
        for done in range(100):
            progress(done * 1_000_000, 100_000_000, "downloading x")
            now_s[0] += 0.25  # exact in binary
        progress(0, 0, "checking")

    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert lines == [
        "downloading x: 0 of 100 MB",
        "downloading x: 20 of 100 MB",
        "downloading x: 40 of 100 MB",
        "downloading x: 60 of 100 MB",
        "downloading x: 80 of 100 MB",
        "checking",
    ]


def test_progress_is_a_bar_in_a_terminal() -> None:
    console = Console(file=StringIO(), force_terminal=True, width=100)
    with ProgressDisplay(console) as progress:
        progress(0, 0, "asking [somebody]")
        progress(40_000_000, 100_000_000, "downloading x")

    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "asking [somebody]" in shown
    assert "40.0/100.0 MB" in shown
    assert progress.moved_bytes
