"""`botkit doctor` as a person or a script calls it, and each thing that it looks at."""

from __future__ import annotations

import json
import os
import socket
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest

from botkit.cli import checks, machine
from botkit.cli.main import main
from botkit.config import Settings, load_settings


def run(*words: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    return int(ended.value.code or 0)


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("BOTKIT_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state"


class Doctor:
    """Runs the command on one data folder, with what lets a fresh machine pass."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self._capsys = folder, capsys
        self.status = -1
        self.errors = ""

    def __call__(self, *words: object, model: str = "echo", port: int = 0) -> dict[str, dict[str, str]]:
        """Return the last finding of each check."""
        self._capsys.readouterr()  # what earlier commands of the test said
        fixed = ["--json", "--data", self.folder, "--model", model, "--set", f"web.port={port}"]
        self.status = run("doctor", *fixed, *words)
        captured = self._capsys.readouterr()
        self.errors = captured.err
        return {one["check"]: one for one in json.loads(captured.out or "[]")}


@pytest.fixture
def doctor(folder: Path, capsys: pytest.CaptureFixture[str]) -> Doctor:
    return Doctor(folder, capsys)


def settings(folder: Path, *overrides: str) -> Settings:
    return load_settings(folder, Path(os.devnull), overrides)


def write_model(folder: Path, name: str = "tiny", **config: object) -> Path:
    """Write a model of one number with a sound header."""
    path = folder / "models" / name
    path.mkdir(parents=True)
    (path / "config.json").write_text(json.dumps({"model_type": "llama", **config}))
    (path / "tokenizer.json").write_text("{}")
    header = json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    (path / "weights.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    return path


def test_a_fresh_machine_is_fine_and_stays_untouched(doctor: Doctor, folder: Path) -> None:
    found = doctor()

    assert doctor.status == 0
    assert not folder.exists()
    assert {check: one["state"] for check, one in found.items() if one["state"] == "fail"} == {}
    assert found["folder"]["detail"] == f"{folder} will be made"
    assert "first start makes" in found["database"]["detail"]
    assert "first start makes" in found["key"]["detail"]


def test_each_thing_has_a_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("doctor", "--data", folder, "--model", "echo", "--set", "web.port=0") == 0

    lines = capsys.readouterr().out.splitlines()
    assert {line.split()[0] for line in lines} <= {"ok", "warn"}
    assert [line.split()[1] for line in lines] == [
        "python", "libraries", "sqlite", "settings", "folder", "disk", "key", "database", "plugins",
        "processor", "gpu", "model", "port",
    ]  # fmt: skip


def test_a_model_that_is_not_there_is_a_failure_with_the_way_to_bring_it(doctor: Doctor) -> None:
    found = doctor(model="smollm2-135m-instruct")

    assert doctor.status == 1
    assert found["model"]["state"] == "fail"
    assert found["model"]["hint"] == "bring it with: botkit models pull smollm2-135m-instruct"


def test_a_mistyped_model_is_a_failure_that_names_the_nearest(doctor: Doctor) -> None:
    assert doctor(model="ecko")["model"]["hint"] == "did you mean 'echo'?"


def test_a_sound_model_is_fine(doctor: Doctor, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parent.parent / "engine")
    from tiny_llama import write_tiny_llama

    write_tiny_llama(folder / "models" / "tiny")

    found = doctor(model="tiny")

    assert found["model"] == {
        "check": "model", "state": "ok", "detail": "tiny: llama, 32,096 parameters", "hint": ""
    }  # fmt: skip
    assert found["memory"]["state"] == "ok"


def test_a_model_cut_short_is_a_failure(doctor: Doctor, folder: Path) -> None:
    weights = write_model(folder) / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])

    found = doctor(model="tiny")

    assert doctor.status == 1
    assert "is truncated" in found["model"]["detail"]


def test_a_model_without_a_tokenizer_is_a_failure(doctor: Doctor, folder: Path) -> None:
    (write_model(folder) / "tokenizer.json").unlink()

    assert "tokenizer.json is missing" in doctor(model="tiny")["model"]["detail"]


def test_a_model_of_an_unknown_family_is_a_failure(doctor: Doctor, folder: Path) -> None:
    write_model(folder, model_type="lama")

    assert doctor(model="tiny")["model"]["hint"] == "did you mean 'llama'?"


@pytest.mark.parametrize(("free", "state"), [(3, "warn"), (4, "ok"), (None, "ok")])
def test_weights_that_do_not_fit_are_warned_of(folder: Path, free: int | None, state: str) -> None:
    from botkit.engine.checkpoint import Checkpoint

    checkpoint = Checkpoint.open(write_model(folder))
    wide = settings(folder, "engine.dtype=float32")

    assert checks.memory(wide, checkpoint, lambda: free).state == state


def test_a_broken_settings_file_is_a_failure_and_the_rest_is_looked_at(doctor: Doctor, folder: Path) -> None:
    folder.mkdir(mode=0o700)
    (folder / "config.toml").write_text("model = [")

    found = doctor()

    assert doctor.status == 1
    assert found["settings"]["state"] == "fail"
    assert found["model"]["state"] == "ok"


def test_a_settings_file_with_a_secret_for_all_to_read_is_a_failure(doctor: Doctor, folder: Path) -> None:
    folder.mkdir(mode=0o700)
    path = folder / "config.toml"
    path.write_text('[web]\napi_key = "0123456789"\n')
    path.chmod(0o644)

    found = doctor()

    assert found["settings"]["state"] == "fail"
    assert found["settings"]["hint"] == f"chmod 600 {path}"


@pytest.mark.parametrize("words", [("--set", "engine.treads=2"), ("--set", "web.port=-1")])
def test_a_wrong_word_of_the_caller_is_one_line(doctor: Doctor, words: tuple[str, ...]) -> None:
    assert doctor(*words) == {}

    assert doctor.status == 2
    assert doctor.errors.startswith("botkit: ")
    assert doctor.errors.count("\n") == 1


def test_a_folder_that_is_a_file_is_a_failure(doctor: Doctor, folder: Path) -> None:
    folder.touch()

    assert doctor()["folder"]["state"] == "fail"
    assert doctor.status == 1


def test_a_folder_that_cannot_be_written_is_a_failure(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write everywhere

    assert checks.folder(settings(folder)).state == "fail"


def test_a_folder_that_is_open_to_others_is_warned_of(doctor: Doctor, folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o755)

    found = doctor()

    assert doctor.status == 0
    assert (found["folder"]["state"], found["folder"]["hint"]) == ("warn", f"chmod 700 {folder}")


Usage = namedtuple("Usage", ["total", "used", "free"])


@pytest.mark.parametrize(("free_gb", "state"), [(1.9, "warn"), (2.0, "ok")])
def test_little_space_is_warned_of(
    folder: Path, monkeypatch: pytest.MonkeyPatch, free_gb: float, state: str
) -> None:
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda path: Usage(0, 0, int(free_gb * 2**30)))

    assert checks.disk(settings(folder)).state == state


def test_a_database_is_shown_with_its_schema(doctor: Doctor, folder: Path) -> None:
    from botkit.store import migrate

    assert run("db", "upgrade", "--data", folder) == 0

    found = doctor()

    newest = migrate.current(f"sqlite:///{folder}/botkit.db").newest
    assert found["database"] == {
        "check": "database", "state": "ok", "detail": f"{folder}/botkit.db, schema {newest}", "hint": ""
    }  # fmt: skip


def test_a_database_without_its_key_is_a_failure(doctor: Doctor, folder: Path) -> None:
    folder.mkdir()
    (folder / "botkit.db").touch()

    assert doctor()["key"]["state"] == "fail"


def test_a_newer_database_is_a_failure(doctor: Doctor, folder: Path) -> None:
    import sqlite3

    assert run("db", "upgrade", "--data", folder) == 0
    connection = sqlite3.connect(folder / "botkit.db")
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.commit()
    connection.close()

    found = doctor()

    assert doctor.status == 1
    assert "schema 9999, newer than" in found["database"]["detail"]


@pytest.mark.parametrize(("automatic", "state"), [("true", "ok"), ("false", "fail")])
def test_a_database_without_tables_needs_an_upgrade(
    doctor: Doctor, folder: Path, automatic: str, state: str
) -> None:
    assert run("db", "upgrade", "--data", folder) == 0
    assert run("db", "downgrade", "base", "--data", folder) == 0

    assert doctor("--set", f"database.auto_migrate={automatic}")["database"]["state"] == state


def test_a_file_that_is_no_database_is_a_failure(doctor: Doctor, folder: Path) -> None:
    folder.mkdir()
    (folder / "botkit.db").write_text("not a database, and long enough to be read as one " * 40)

    assert doctor()["database"]["state"] == "fail"
    assert doctor.status == 1


def test_a_server_that_cannot_be_reached_is_a_failure_without_its_password(doctor: Doctor) -> None:
    found = doctor("--set", "database.url=postgresql://anna:pelargonium@127.0.0.1:1/botkit")

    assert found["database"]["state"] == "fail"
    assert "pelargonium" not in str(found)


@pytest.mark.parametrize(("mode", "state"), [(0o600, "ok"), (0o644, "warn")])
def test_a_key_that_others_may_read_is_warned_of(doctor: Doctor, folder: Path, mode: int, state: str) -> None:
    from botkit.store.seal import Sealer

    Sealer.open(folder)
    (folder / "secret.key").chmod(mode)

    assert doctor()["key"]["state"] == state


def test_a_malformed_key_is_a_failure(doctor: Doctor, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.mkdir()
    (folder / "secret.key").write_text("nonsense")
    assert doctor()["key"]["state"] == "fail"

    monkeypatch.setenv("BOTKIT_KEY", "nonsense")
    assert "BOTKIT_KEY" in doctor()["key"]["detail"]


def test_a_port_in_use_is_a_failure(doctor: Doctor) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        found = doctor(port=port)

    assert doctor.status == 1
    assert found["port"]["detail"] == f"127.0.0.1:{port}: Address already in use"
    assert f"web.port={port + 1}" in found["port"]["hint"]


def test_an_address_for_all_needs_a_key(doctor: Doctor) -> None:
    assert doctor("--set", "web.host=0.0.0.0")["port"]["state"] == "fail"
    assert doctor("--set", "web.host=0.0.0.0", "--set", "web.api_key=0123456789")["port"]["state"] == "ok"
    assert doctor("--set", "web.host=0.0.0.0", "--set", "web.enabled=false")["port"]["state"] == "ok"


def test_a_broken_plugin_is_warned_of(folder: Path) -> None:
    from importlib.metadata import EntryPoint

    from botkit.plugins import Plugins

    found = Plugins.load(points=[EntryPoint("gone", "there_is_no_such_module", "botkit")])

    first, broken = checks.plugins(found, settings(folder))
    assert (first.state, first.detail) == ("ok", "loaded: none")
    assert (broken.state, broken.detail.partition(":")[0]) == ("warn", "gone")


def test_an_adapter_or_plugin_that_nobody_brings_is_a_failure(doctor: Doctor) -> None:
    assert "'telegraph'" in doctor("--set", "adapters.telegraph.token=0123456789")["plugins"]["detail"]
    assert doctor.status == 1
    doctor("--set", "plugins.disabled=transfomer")
    assert doctor.status == 1


@pytest.mark.parametrize(
    ("number", "is_sound"),
    [((3, 40, 1), False), ((3, 51, 2), False), ((3, 51, 3), True), ((3, 50, 7), True), ((3, 50, 6), False)],
)
def test_an_old_sqlite_is_told_of_and_harmless(number: tuple[int, ...], is_sound: bool) -> None:
    found = checks.sqlite(number)

    assert found.state == "ok"
    assert ("harmless" not in found.detail) == is_sound


def lay_out(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.mark.parametrize(
    ("described", "expected"),
    [
        ("flags\t\t: fpu avx512f avx512_bf16\n", True),
        ("Features\t: fp asimd bf16\n", True),
        ("flags\t\t: fpu avx2\n", False),
        ("", None),
    ],
)
def test_bfloat16_is_read_from_the_processors_flags(
    tmp_path: Path, described: str, expected: bool | None
) -> None:
    assert machine.processor(lay_out(tmp_path, {"proc/cpuinfo": described})).has_bfloat16 is expected


GROUP = "sys/fs/cgroup/memory"
MEMINFO = {"proc/meminfo": "MemTotal: 9000 kB\nMemAvailable:    4000 kB\n"}


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, None),
        (MEMINFO, 4_096_000),
        ({**MEMINFO, f"{GROUP}.max": "max\n", f"{GROUP}.current": "5\n"}, 4_096_000),
        ({**MEMINFO, f"{GROUP}.max": "3000\n", f"{GROUP}.current": "1000\n"}, 2000),
        ({**MEMINFO, f"{GROUP}.max": "3000\n", f"{GROUP}.current": "4000\n"}, 0),
    ],
)
def test_the_memory_is_the_systems_or_the_groups_whichever_is_less(
    tmp_path: Path, files: dict[str, str], expected: int | None
) -> None:
    assert machine.available_memory_bytes(lay_out(tmp_path, files)) == expected


@pytest.mark.parametrize(("torch", "state"), [("2.13.0+cpu", "warn"), ("2.13.0+cu130", "ok"), ("", "ok")])
def test_a_gpu_wants_a_torch_that_can_use_it(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, torch: str, state: str
) -> None:
    monkeypatch.setattr(checks, "_version", lambda name: torch)
    described = {"proc/driver/nvidia/gpus/0000:01/information": "Model: \t\t NVIDIA H100\nIRQ: 1\n"}

    found = checks.gpu(settings(folder), lay_out(tmp_path, described))

    assert found.state == state
    assert found.detail.startswith("NVIDIA H100")


@pytest.mark.parametrize(("device", "state"), [("auto", "ok"), ("cuda:1", "warn")])
def test_a_gpu_that_is_asked_for_and_not_there_is_warned_of(
    folder: Path, tmp_path: Path, device: str, state: str
) -> None:
    assert checks.gpu(settings(folder, f"engine.device={device}"), tmp_path).state == state


def test_a_missing_library_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "LIBRARIES", ("pluggy", "there-is-no-such-library"))

    found = checks.libraries()

    assert (found.state, found.detail) == ("fail", "missing: there-is-no-such-library")


def test_more_threads_than_cores_are_warned_of(folder: Path) -> None:
    assert checks.processor(settings(folder, "engine.threads=1024")).state == "warn"


def test_torch_is_not_imported(folder: Path) -> None:
    import subprocess
    import sys

    words = ["doctor", "--data", str(folder), "--model", "echo", "--set", "web.port=0"]
    program = (
        "import sys\nfrom botkit.cli.main import main\n"
        f"try:\n    main({words!r})\n"
        "except SystemExit as ended:\n    print(ended.code, 'torch' in sys.modules)"
    )

    done: Any = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout.splitlines()[-1] == "0 False"
