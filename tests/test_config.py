"""The settings: where a value comes from, what is refused, and what never shows."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from botkit.config import (
    Settings,
    default_data_dir,
    example,
    is_secret,
    known_keys,
    load_settings,
    secrets_of,
)
from botkit.errors import ConfigError

Load = Callable[..., Settings]
KEY = "pelargonium"


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("BOTKIT_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Load from a file, an environment and overrides that a test writes."""

    def load(file: str = "", environment: Mapping[str, str] = {}, overrides: Sequence[str] = ()) -> Settings:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        path = tmp_path / "config.toml"
        path.touch(mode=0o600)
        path.write_text(file, "utf-8")
        return load_settings(tmp_path, overrides=overrides)

    return load


def refusal(load: Load, *args: Any, **named: Any) -> str:
    with pytest.raises(ConfigError) as raised:
        load(*args, **named)
    assert raised.value.exit_status == 2
    assert "\n" not in raised.value.line()
    return raised.value.line()


def test_nothing_set_gives_the_defaults(tmp_path: Path) -> None:
    settings = load_settings(tmp_path)

    assert settings == Settings(data_dir=tmp_path)
    assert (settings.model, settings.web.port, settings.web.api_key) == ("smollm2-135m-instruct", 8080, None)
    assert list(tmp_path.iterdir()) == []


def test_the_last_source_wins_in_the_order_file_environment_set(load: Load) -> None:
    file = 'model = "file"\n[web]\nport = 1\nhost = "::1"\n'
    settings = load(file, {"BOTKIT_MODEL": "environment", "BOTKIT_WEB__PORT": "2"}, ["model=set"])

    assert (settings.model, settings.web.port, settings.web.host) == ("set", 2, "::1")


def test_the_last_of_two_overrides_wins(load: Load) -> None:
    assert load(overrides=["web.port=1", "web.port=2"]).web.port == 2


@pytest.mark.parametrize(
    ("source", "origin"),
    [
        ({"file": "[web]\nprot = 1\n"}, "config.toml"),
        ({"environment": {"BOTKIT_WEB__PROT": "1"}}, "the environment"),
        ({"overrides": ["web.prot=1"]}, "--set"),
    ],
)
def test_an_unknown_key_names_its_source_and_the_nearest(
    load: Load, tmp_path: Path, source: Any, origin: str
) -> None:
    line = refusal(load, **source).replace(f"{tmp_path}/", "")

    assert line == f"unknown setting 'web.prot' in {origin} (did you mean 'web.port'?)"


@pytest.mark.parametrize(
    "source",
    [
        {"file": "[wbe]\nport = 1\n"},
        {"file": "[web]\nport = 1\n[model]\nname = 'x'\n"},
        {"file": "web = 3\n"},
        {"file": '"web.port" = 1\n"" = 1\n'},
        {"environment": {"BOTKIT_WEB": "abc"}},
        {"environment": {"BOTKIT_MODELL": "x"}},
        {"environment": {"BOTKIT_": "x"}},
        {"environment": {"BOTKIT_WEB__": "x"}},
        {"overrides": ["web=1"]},
        {"overrides": ["web..port=1"]},
        {"overrides": ["model.name=x"]},
    ],
)
def test_what_is_no_key_is_never_passed_over(load: Load, source: Any) -> None:
    assert refusal(load, **source).startswith("unknown setting '")


@pytest.mark.parametrize("word", ["web.port", "=1", "", "web", " = "])
def test_an_override_without_key_and_value_is_refused(load: Load, word: str) -> None:
    assert "is not dotted.key=value" in refusal(load, overrides=[word])


@pytest.mark.parametrize(
    ("source", "key"),
    [
        ({"file": f'[web]\nport = "{KEY}"\n'}, "web.port in "),
        ({"environment": {"BOTKIT_WEB__PORT": KEY}}, "web.port in the environment: "),
        ({"environment": {"BOTKIT_WEB__PORT__X": KEY}}, "web.port in the environment: "),
        ({"overrides": [f"web.port={KEY}"]}, "web.port in --set: "),
        ({"overrides": [f"chat.trigger={KEY}"]}, "chat.trigger in --set: "),
        ({"overrides": [f"engine.device={KEY}"]}, "engine.device in --set: "),
        ({"overrides": [f"web.enabled={KEY}"]}, "web.enabled in --set: "),
        ({"overrides": [f"sampling.seed={KEY}"]}, "sampling.seed in --set: "),
        ({"overrides": ["web.port=65536"]}, "web.port in --set: "),
        ({"overrides": ["web.port=80.5"]}, "web.port in --set: "),
        ({"overrides": ["sampling.temperature=-1"]}, "sampling.temperature in --set: "),
        ({"overrides": ["sampling.temperature=nan"]}, "sampling.temperature in --set: "),
        ({"overrides": ["queue.deadline_s=nan"]}, "queue.deadline_s in --set: "),
        ({"overrides": ["sampling.max_tokens="]}, "sampling.max_tokens in --set: "),
        ({"overrides": ["engine.threads=1000000"]}, "engine.threads in --set: "),
        ({"overrides": [f"adapters.discord={KEY}"]}, "adapters.discord in --set: "),
        ({"file": "adapters = 3\n"}, "adapters in "),
        ({"file": "[database]\nurl = [1]\n"}, "database.url in "),
    ],
)
def test_a_value_that_cannot_be_names_key_and_source_and_not_the_value(
    load: Load, source: Any, key: str
) -> None:
    line = refusal(load, **source)

    assert line.startswith(key)
    assert KEY not in line


def test_the_source_that_is_named_is_the_one_that_won(load: Load) -> None:
    assert " in --set: " in refusal(load, "[web]\nport = 1\n", {"BOTKIT_WEB__PORT": "2"}, ["web.port=x"])


@pytest.mark.parametrize("file", ["model = [", "[web", "a = 1\na = 2\n", "x = " + "[" * 5000, "\x00"])
def test_broken_toml_names_the_file(load: Load, tmp_path: Path, file: str) -> None:
    assert refusal(load, file).startswith(f"{tmp_path / 'config.toml'} is not valid TOML: ")


def test_a_file_that_is_not_text_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_bytes(b'model = "\xff"\n')

    assert "config.toml is not valid TOML: " in refusal(load_settings, tmp_path)


def test_a_file_that_cannot_be_read_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "config.toml").mkdir()

    assert refusal(load_settings, tmp_path) == f"{tmp_path / 'config.toml'} cannot be read: Is a directory"


@pytest.mark.parametrize("name", ["absent.toml", "file/config.toml"])
def test_a_file_that_is_asked_for_must_be_there(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()

    line = refusal(load_settings, tmp_path, tmp_path / name)

    assert line == f"there is no settings file {tmp_path / name} ('botkit init' writes one)"


def test_another_file_replaces_that_of_the_data_folder(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("model = [")
    (tmp_path / "other.toml").write_text("model = 'other'")

    assert load_settings(tmp_path, tmp_path / "other.toml").model == "other"


def test_lists_are_joined_by_commas_outside_the_file(load: Load) -> None:
    assert load("[plugins]\ndisabled = ['a', 'b']\n").plugins.disabled == ("a", "b")
    assert load(environment={"BOTKIT_PLUGINS__DISABLED": "c, d,"}).plugins.disabled == ("c", "d")
    assert load(overrides=["plugins.disabled=e"]).plugins.disabled == ("e",)
    assert load(overrides=["plugins.disabled="]).plugins.disabled == ()


def test_tables_of_adapters_are_put_together_from_all_sources(load: Load) -> None:
    settings = load(
        '[adapters.discord]\ntoken = "1"\napi_base = "http://x"\n[adapters.irc]\nenabled = true\n',
        {"BOTKIT_ADAPTERS__DISCORD__TOKEN": "2", "BOTKIT_ADAPTERS__TELEGRAM__TOKEN": "123:abc"},
        ["adapters.discord.enabled=true", "adapters.irc.nick=b=c"],
    )

    assert settings.adapters == {
        "discord": {"token": "2", "api_base": "http://x", "enabled": "true"},
        "telegram": {"token": "123:abc"},
        "irc": {"enabled": True, "nick": "b=c"},
    }


def test_a_token_of_digits_stays_a_text(load: Load) -> None:
    assert load(environment={"BOTKIT_ADAPTERS__X__TOKEN": "0123"}).adapters == {"x": {"token": "0123"}}


def test_all_adapters_in_one_variable_are_json(load: Load) -> None:
    assert load(environment={"BOTKIT_ADAPTERS": '{"x": {"y": 1}}'}).adapters == {"x": {"y": 1}}
    assert "BOTKIT_ADAPTERS" in refusal(load, environment={"BOTKIT_ADAPTERS": KEY})


@pytest.mark.parametrize(
    "source",
    [
        {"file": 'data_dir = "x"\n'},
        {"environment": {"BOTKIT_DATA_DIR": "x"}},
        {"overrides": ["data_dir=x"]},
    ],
)
def test_the_data_folder_is_no_setting(load: Load, source: Any) -> None:
    assert refusal(load, **source).endswith("(use --data or BOTKIT_DATA)")


def test_the_data_folder_is_that_of_the_environment_or_the_platform(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert default_data_dir().name == "botkit"
    monkeypatch.setenv("BOTKIT_DATA", str(tmp_path / "mine"))
    assert load_settings().data_dir == tmp_path / "mine"


def test_a_data_folder_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))

    assert load_settings(Path("here")).data_dir == tmp_path / "here"
    assert load_settings(Path("~/there")).data_dir == tmp_path / "home" / "there"


@pytest.mark.parametrize("name", ["BOTKIT_KEY", "BOTKIT_CHROMIUM", "BOTKIT_DATA", "BOTKIT_TEST_PG_URL"])
def test_variables_that_are_no_settings_are_left_alone(load: Load, tmp_path: Path, name: str) -> None:
    assert load(environment={name: "x"}) == Settings(data_dir=tmp_path)


@pytest.mark.parametrize("character", ["\udcff", "\x00", "\x1b", "\x7f"])
def test_characters_that_are_no_text_are_refused(load: Load, character: str) -> None:
    line = refusal(load, overrides=[f"chat.persona=a{character}b"])

    assert line == "chat.persona in --set has control characters or is not valid UTF-8"
    assert "adapters.x.y in --set" in refusal(load, overrides=[f"adapters.x.y={character}"])


def test_bytes_in_the_environment_that_are_no_text_are_refused(load: Load, tmp_path: Path) -> None:
    os.environb[b"BOTKIT_CHAT__PERSONA"] = b"a\xffb"
    try:
        assert "chat.persona in the environment" in refusal(load)
    finally:
        del os.environb[b"BOTKIT_CHAT__PERSONA"]


def test_lines_and_letters_of_all_scripts_are_text(load: Load) -> None:
    assert load(overrides=["chat.persona=Zeile\n\tλέξη 三 🙂"]).chat.persona == "Zeile\n\tλέξη 三 🙂"


SECRET_FILES = [
    f'[web]\napi_key = "{KEY}"\n',
    f'[database]\nurl = "postgresql://u:{KEY}@h/d"\n',
    f'[adapters.discord]\ntoken = "{KEY}"\n',
    f'[adapters.irc]\npassword = "{KEY}"\n',
]


@pytest.mark.parametrize("text", SECRET_FILES)
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
def test_a_secret_in_a_file_that_others_may_read_is_refused(tmp_path: Path, text: str, mode: int) -> None:
    path = tmp_path / "config.toml"
    path.write_text(text)
    path.chmod(mode)

    line = refusal(load_settings, tmp_path)

    assert line == f"{path} holds a secret, but others may read it (chmod 600 {path})"
    path.chmod(0o600)
    load_settings(tmp_path)


def test_a_file_without_a_secret_may_be_read_by_all(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('[web]\napi_key = ""\nport = 1\n')
    (tmp_path / "config.toml").chmod(0o644)

    assert load_settings(tmp_path).web.port == 1


@pytest.mark.parametrize("text", SECRET_FILES)
def test_secrets_are_known_to_the_redactor_and_in_no_repr(load: Load, text: str) -> None:
    settings = load(text)

    assert KEY not in repr(settings) + str(settings)
    assert [KEY in value for value in secrets_of(settings)] == [True]


def test_no_secret_is_none_to_redact(tmp_path: Path) -> None:
    assert secrets_of(load_settings(tmp_path)) == []


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("token", True), ("secret_token", True), ("api_key", True), ("url", True), ("bot_token", True),
        ("password", True), ("client_secret", True), ("api_key_file", False), ("base_url", False),
        ("host", False), ("max_tokens", False),
    ],
)  # fmt: skip
def test_secrets_are_known_by_their_names(key: str, expected: bool) -> None:
    assert is_secret(key) is expected


def test_the_key_may_lie_in_a_file_of_its_own(load: Load, tmp_path: Path) -> None:
    (tmp_path / "key").write_text(f"  {KEY}\n")

    settings = load(overrides=[f"web.api_key_file={tmp_path / 'key'}", "web.api_key=other"])

    assert settings.web.api_key == SecretStr(KEY)
    assert secrets_of(settings) == [KEY]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "cannot be read: No such file or directory"),
        (b" \n", "is empty"),
        (b"\xff", "cannot be read: 'utf-8' codec"),
    ],
)
def test_a_key_file_of_no_use_is_one_line(
    load: Load, tmp_path: Path, content: bytes | None, reason: str
) -> None:
    if content is not None:
        (tmp_path / "key").write_bytes(content)

    line = refusal(load, overrides=[f"web.api_key_file={tmp_path / 'key'}"])

    assert line.startswith(f"web.api_key_file {tmp_path / 'key'} {reason}")


@pytest.mark.parametrize("blank", ["", " ", "\n"])
def test_a_blank_key_is_no_key(load: Load, blank: str) -> None:
    assert load(overrides=[f"web.api_key={blank}"]).web.api_key is None


def test_an_empty_seed_draws_a_fresh_one(load: Load) -> None:
    assert load("[sampling]\nseed = 7\n", overrides=["sampling.seed="]).sampling.seed is None
    assert load("[sampling]\nseed = 7\n").sampling.seed == 7


def test_the_example_in_the_repository_is_the_one_that_init_writes() -> None:
    assert (Path(__file__).parent.parent / "config.example.toml").read_text("utf-8") == example()


def test_the_example_changes_nothing(load: Load, tmp_path: Path) -> None:
    assert load(example()) == Settings(data_dir=tmp_path)


def test_every_line_of_the_example_shows_a_default(load: Load, tmp_path: Path) -> None:
    setting = re.compile(r"^# ([a-z_]+ = )", re.MULTILINE)
    uncommented = setting.sub(r"\1", example())

    named = {(name,) if not isinstance(value, dict) else (name, key)
             for name, value in tomllib.loads(uncommented).items()
             for key in (value if isinstance(value, dict) else (name,))}  # fmt: skip
    assert named == set(known_keys())
    assert load(uncommented) == Settings(data_dir=tmp_path)
