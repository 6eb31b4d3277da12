"""Models come in whole or not at all, are told apart by name, and go out as a copy."""

from __future__ import annotations

import errno
import hashlib
import json
import threading
from pathlib import Path

import pytest
from model_files import N_PARAMETERS, TinyPlugin, write_model, write_origin

from botkit.engine.library import ModelLibrary
from botkit.errors import BotkitError, EnvironmentFailure, ModelError, UnknownNameError, UsageError

Said = list[tuple[int, int, str]]


@pytest.fixture
def tiny() -> TinyPlugin:
    return TinyPlugin()


@pytest.fixture
def library(tmp_path: Path) -> ModelLibrary:
    return ModelLibrary(tmp_path / "data" / "models")


def pull(
    library: ModelLibrary, tiny: TinyPlugin, what: str | Path, name: str | None = None
) -> tuple[str, Said]:
    said: Said = []
    got = library.pull(str(what), tiny.plugins(), lambda *one: said.append(one), name=name)
    return got, said


def left_in(library: ModelLibrary) -> set[str]:
    """All that lies in the library, lock files aside."""
    found = library.folder.rglob("*") if library.folder.exists() else ()
    paths = {path.relative_to(library.folder).as_posix() for path in found}
    return {path for path in paths if path != ".pull" and not path.endswith(".lock")}


def test_a_library_that_is_not_there_yet_is_empty(library: ModelLibrary) -> None:
    assert library.names() == []
    with pytest.raises(UnknownNameError, match="unknown model 'x'"):
        library.path("x")


def test_a_model_of_a_source_comes_with_its_card(library: ModelLibrary, tiny: TinyPlugin) -> None:
    name, said = pull(library, tiny, "tiny-model")

    path = library.path(name)
    assert name == "tiny-model"
    assert path == library.folder / "tiny-model"
    assert left_in(library) == {
        "tiny-model",
        *(f"tiny-model/{f}" for f in ("config.json", "tokenizer.json", "weights.safetensors", "card.md")),
    }
    assert (100, 100, "converting") in said
    facts = library.describe(name)
    weights = (path / "weights.safetensors").read_bytes()
    assert facts.weights_sha256 == hashlib.sha256(weights).hexdigest()
    assert (facts.name, facts.architecture, facts.dtype) == ("tiny-model", "tiny", "f32")
    assert (facts.parameters, facts.weight_bytes, facts.context_tokens) == (N_PARAMETERS, 48, 64)
    assert (facts.licence, facts.source) == ("CC0-1.0", "tiny-model (origin/m.tiny)")
    for file in ("config.json", "tokenizer.json"):
        assert hashlib.sha256((path / file).read_bytes()).hexdigest() in (path / "card.md").read_text()


def test_pulling_what_is_there_does_nothing(library: ModelLibrary, tiny: TinyPlugin) -> None:
    pull(library, tiny, "tiny-model")
    before = (library.folder / "tiny-model").stat().st_ino

    name, said = pull(library, tiny, "tiny-model")

    assert (name, said) == ("tiny-model", [])
    assert len(tiny.fetched) == len(tiny.converted) == 1
    assert (library.folder / "tiny-model").stat().st_ino == before


def test_a_model_linked_into_the_library_counts_as_there(
    library: ModelLibrary, tiny: TinyPlugin, tmp_path: Path
) -> None:
    write_model(tmp_path / "elsewhere")
    library.folder.mkdir(parents=True)
    (library.folder / "tiny-model").symlink_to(tmp_path / "elsewhere")

    assert pull(library, tiny, "tiny-model")[1] == []
    assert library.names() == ["tiny-model"]
    library.remove("tiny-model")
    assert library.names() == []
    assert (tmp_path / "elsewhere" / "config.json").exists()


@pytest.mark.parametrize(
    ("path", "name"),
    [("My Model (v2).Q4_1.tiny", "my-model-v2-.q4_1"), ("TINY", "tiny"), ("--x.tiny", "x"), ("é.tiny", None)],
)
def test_a_local_model_is_called_after_its_file(
    library: ModelLibrary, tiny: TinyPlugin, tmp_path: Path, path: str, name: str | None
) -> None:
    write_origin(tmp_path / path)

    if name is None:
        with pytest.raises(UsageError, match="gives no name"):
            pull(library, tiny, tmp_path / path)
    else:
        assert pull(library, tiny, tmp_path / path)[0] == name
        assert library.describe(name).source == f"{tmp_path / path} ({path})"
        assert library.describe(name).licence == ""


def test_a_given_name_goes_before_the_files(library: ModelLibrary, tiny: TinyPlugin, tmp_path: Path) -> None:
    origin = write_origin(tmp_path / "m.tiny")

    assert pull(library, tiny, origin, "other")[0] == "other"
    assert pull(library, tiny, "tiny-model", "third")[0] == "third"
    assert library.names() == ["other", "third"]


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".x", "-x", "A", "x y", "x\n", "ü", "x" * 65, "served"])
def test_names_that_are_none_are_refused(library: ModelLibrary, tiny: TinyPlugin, name: str) -> None:
    with pytest.raises(UsageError) as caught:
        pull(library, tiny, "tiny-model", name)

    assert "\n" not in caught.value.line()
    assert left_in(library) == set()


@pytest.mark.parametrize(
    ("what", "line"),
    [
        ("tiny-modle", "did you mean 'tiny-model'?"),
        ("./nothing", "there is no file or folder ./nothing"),
        ("nothing.gguf", "there is no file or folder nothing.gguf"),
        ("", "unknown model ''"),
        ("a\0b", "unknown model"),
        ("x" * 5000, "unknown model"),
        ("~nobody-of-this-name/x", "there is no file or folder"),
    ],
)
def test_what_is_not_there_is_one_line(library: ModelLibrary, tiny: TinyPlugin, what: str, line: str) -> None:
    with pytest.raises(UsageError) as caught:
        pull(library, tiny, what)

    assert line in caught.value.line()
    assert len(caught.value.line()) < 400
    assert not library.folder.exists()


def test_an_empty_folder_and_a_strange_file_are_one_line(
    library: ModelLibrary, tiny: TinyPlugin, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    write_origin(tmp_path / "strange.txt", "hello")

    with pytest.raises(ModelError, match="empty is an empty folder"):
        pull(library, tiny, tmp_path / "empty")
    with pytest.raises(ModelError, match=r"strange\.txt is no model that can be read") as caught:
        pull(library, tiny, tmp_path / "strange.txt")
    assert "a file that says TINY" in caught.value.line()
    assert left_in(library) == set()


SPOILED = {
    "weights cut off": (lambda at: (at / "weights.safetensors").write_bytes(b"\x08"), "truncated"),
    "header bomb": (lambda at: (at / "weights.safetensors").write_bytes(b"\xff" * 64), "has a header of"),
    "no weights": (lambda at: (at / "weights.safetensors").unlink(), "is missing"),
    "no tokenizer": (lambda at: (at / "tokenizer.json").unlink(), "tokenizer.json is missing"),
    "broken tokenizer": (lambda at: (at / "tokenizer.json").write_text("{}"), "is corrupt"),
    "too small": (
        lambda at: write_model(at, vocab_size=2),
        "tokenizer has 3 tokens, the model itself only 2",
    ),
    "unknown architecture": (lambda at: write_model(at, model_type="huge"), "no plugin runs 'huge'"),
}


@pytest.mark.parametrize(("spoil", "line"), SPOILED.values(), ids=SPOILED.keys())
@pytest.mark.parametrize("what", ["source", "path"])
def test_a_model_that_cannot_be_opened_never_appears(library, tmp_path, spoil, line, what) -> None:
    tiny = TinyPlugin(spoil=spoil)
    wish = "tiny-model" if what == "source" else write_origin(tmp_path / "m.tiny")

    with pytest.raises(ModelError, match=line) as caught:
        pull(library, tiny, wish)

    assert "\n" not in caught.value.line()
    assert left_in(library) == set()
    assert library.names() == []


def test_what_its_architecture_refuses_never_appears(library: ModelLibrary, tiny: TinyPlugin) -> None:
    def refuse(folder: Path) -> None:
        raise ModelError(f"{folder}: too wide")

    tiny.check = refuse

    with pytest.raises(ModelError, match="too wide"):
        pull(library, tiny, "tiny-model")
    assert left_in(library) == set()


def test_a_failed_conversion_leaves_nothing(library: ModelLibrary, tiny: TinyPlugin, tmp_path: Path) -> None:
    origin = write_origin(tmp_path / "m.tiny", "TINY but broken")

    with pytest.raises(ModelError, match="it is broken"):
        pull(library, tiny, origin)

    assert left_in(library) == set()
    assert origin.read_text() == "TINY but broken"


def test_a_broken_off_fetch_finds_its_parts_again(library: ModelLibrary, tiny: TinyPlugin) -> None:
    def break_off(into: Path) -> None:
        (into / "half.part").write_text("half")
        raise EnvironmentFailure("the line is dead")

    tiny.before_fetch = break_off
    with pytest.raises(EnvironmentFailure, match="the line is dead"):
        pull(library, tiny, "tiny-model")
    assert left_in(library) == {".pull/tiny-model.parts", ".pull/tiny-model.parts/half.part"}
    assert library.names() == []
    found: list[str] = []
    tiny.before_fetch = lambda into: found.append((into / "half.part").read_text())

    pull(library, tiny, "tiny-model")

    assert found == ["half"]
    assert not list(library.folder.glob(".pull/*.parts"))


def test_what_a_killed_pull_left_is_in_nobodys_way(library: ModelLibrary, tiny: TinyPlugin) -> None:
    write_origin(library.folder / ".pull" / "tiny-model.new" / "weights.safetensors", "half")

    pull(library, tiny, "tiny-model")

    assert library.describe("tiny-model").parameters == N_PARAMETERS


def test_a_model_that_broke_since_is_pulled_anew(library: ModelLibrary, tiny: TinyPlugin) -> None:
    pull(library, tiny, "tiny-model")
    weights = library.folder / "tiny-model" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])

    _, said = pull(library, tiny, "tiny-model")

    assert said
    assert library.describe("tiny-model").parameters == N_PARAMETERS
    assert set(library.folder.iterdir()) == {library.folder / "tiny-model", library.folder / ".pull"}


def test_a_name_that_another_model_has_is_not_taken_from_it(
    library: ModelLibrary, tiny: TinyPlugin, tmp_path: Path
) -> None:
    first, second = write_origin(tmp_path / "a" / "m.tiny"), write_origin(tmp_path / "b" / "m.tiny")
    pull(library, tiny, first)

    with pytest.raises(UsageError, match=f"a model 'm' already, from {first}") as caught:
        pull(library, tiny, second)

    assert "--name" in caught.value.hint
    assert pull(library, tiny, first)[1] == []


def test_a_file_that_changed_since_is_not_taken_for_the_same(
    library: ModelLibrary, tiny: TinyPlugin, tmp_path: Path
) -> None:
    import os

    origin = write_origin(tmp_path / "m.tiny")
    pull(library, tiny, origin)
    later = (library.folder / "m" / "card.md").stat().st_mtime + 10
    os.utime(origin, (later, later))

    with pytest.raises(UsageError, match="has changed since it was pulled as 'm'"):
        pull(library, tiny, origin)


def test_pulls_of_one_name_at_a_time_make_it_once(library: ModelLibrary, tiny: TinyPlugin) -> None:
    inside, go_on = threading.Event(), threading.Event()

    def hold(into: Path) -> None:
        inside.set()
        assert go_on.wait(20)

    tiny.before_fetch = hold
    waits = threading.Event()
    done: list[str] = []

    def first() -> None:
        done.append(pull(library, tiny, "tiny-model")[0])

    def second() -> None:
        def watch(done_bytes: int, total_bytes: int, what: str) -> None:
            if "waiting" in what:
                waits.set()

        done.append(library.pull("tiny-model", tiny.plugins(), watch))

    threads = [threading.Thread(target=first), threading.Thread(target=second)]
    threads[0].start()
    assert inside.wait(20)
    threads[1].start()
    assert waits.wait(20)
    assert library.names() == []
    go_on.set()
    for thread in threads:
        thread.join(20)

    assert done == ["tiny-model", "tiny-model"]
    assert len(tiny.fetched) == 1
    assert library.names() == ["tiny-model"]


@pytest.mark.parametrize(
    ("number", "line"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EROFS, "it is read-only"),
        (errno.EACCES, "permission denied"),
    ],
)
def test_a_disk_that_refuses_is_one_line_and_leaves_nothing(library, number, line) -> None:
    def refuse(folder: Path) -> None:
        raise OSError(number, "refused", str(folder / "weights.safetensors"))

    with pytest.raises(EnvironmentFailure, match=line) as caught:
        pull(library, TinyPlugin(spoil=refuse), "tiny-model")

    assert str(library.folder) in str(caught.value)
    assert "--data" in caught.value.hint
    assert {path for path in left_in(library) if "parts" not in path} == set()


def test_a_library_that_cannot_be_made_is_one_line(tmp_path: Path, tiny: TinyPlugin) -> None:
    (tmp_path / "file").write_text("")
    library = ModelLibrary(tmp_path / "file" / "models")

    with pytest.raises(EnvironmentFailure, match="cannot write"):
        pull(library, tiny, "tiny-model")
    with pytest.raises(EnvironmentFailure, match="cannot read"):
        library.names()


def test_an_unknown_name_says_how_to_pull_it(library: ModelLibrary, tiny: TinyPlugin) -> None:
    with pytest.raises(UnknownNameError) as caught:
        library.path("tiny-model", tiny.plugins())

    assert caught.value.line() == "unknown model 'tiny-model' (bring it with: botkit models pull tiny-model)"


@pytest.mark.parametrize("name", ["..", ".", ".pull", "a/../../b", "tiny-model/"])
def test_no_path_passes_for_a_name(library: ModelLibrary, tiny: TinyPlugin, name: str) -> None:
    pull(library, tiny, "tiny-model")

    for use in (library.path, library.describe, library.remove):
        with pytest.raises(UnknownNameError):
            use(name)
    assert library.names() == ["tiny-model"]


def test_a_removed_model_is_gone_and_can_be_pulled_again(library: ModelLibrary, tiny: TinyPlugin) -> None:
    pull(library, tiny, "tiny-model")

    library.remove("tiny-model")

    assert left_in(library) == set()
    with pytest.raises(UnknownNameError):
        library.remove("tiny-model")
    pull(library, tiny, "tiny-model")
    assert library.names() == ["tiny-model"]


def test_a_card_written_by_hand_or_missing_is_no_obstacle(library: ModelLibrary, tiny: TinyPlugin) -> None:
    path = library.folder / "mine"
    library.folder.mkdir(parents=True)
    write_model(path)
    weights = hashlib.sha256((path / "weights.safetensors").read_bytes()).hexdigest()
    assert library.describe("mine").weights_sha256 == weights
    for text in ("", "---\nlicense: mit\nsha256: [1]\nparameters: x\n---\n", "---\nno end", "\0" * 100):
        (path / "card.md").write_text(text)
        facts = library.describe("mine")
        assert (facts.weights_sha256, facts.licence) == (weights, "mit" if "mit" in text else "")


def test_an_export_is_a_copy_under_the_names_that_transformers_knows(
    library: ModelLibrary, tiny: TinyPlugin, tmp_path: Path
) -> None:
    pull(library, tiny, "tiny-model")
    said: Said = []

    out = library.export("tiny-model", tmp_path / "new" / "out", "safetensors", lambda *one: said.append(one))

    assert {path.name for path in out.iterdir()} == {
        "config.json", "tokenizer.json", "model.safetensors", "card.md"
    }  # fmt: skip
    ours = library.folder / "tiny-model" / "weights.safetensors"
    assert (out / "model.safetensors").read_bytes() == ours.read_bytes()
    assert not (out / "model.safetensors").samefile(ours)
    assert said[-1][0] == said[-1][1]
    assert [path.name for path in out.parent.iterdir()] == ["out"]


def test_an_export_writes_over_nothing(library: ModelLibrary, tiny: TinyPlugin, tmp_path: Path) -> None:
    pull(library, tiny, "tiny-model")
    write_origin(tmp_path / "full" / "mine.txt", "mine")
    (tmp_path / "empty").mkdir()

    for taken in (tmp_path / "full", tmp_path / "full" / "mine.txt"):
        with pytest.raises(UsageError, match="is there already"):
            library.export("tiny-model", taken, "safetensors", lambda *one: None)
    library.export("tiny-model", tmp_path / "empty", "safetensors", lambda *one: None)

    assert (tmp_path / "full" / "mine.txt").read_text() == "mine"
    assert json.loads((tmp_path / "empty" / "config.json").read_text())["model_type"] == "tiny"


@pytest.mark.parametrize("form", ["gguf", "onnx", ""])
def test_other_export_formats_are_named(
    library: ModelLibrary, tiny: TinyPlugin, tmp_path: Path, form: str
) -> None:
    pull(library, tiny, "tiny-model")

    with pytest.raises(BotkitError, match=f"unknown export format '{form}'") as caught:
        library.export("tiny-model", tmp_path / "out", form, lambda *one: None)

    assert "there are: safetensors" in caught.value.line()
    assert not (tmp_path / "out").exists()
