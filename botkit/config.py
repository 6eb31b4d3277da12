"""The settings: every key with its default and its meaning, and where a value may come from.

First wins: ``--set``, the environment (``BOTKIT_A__B``), the file, the default.  Secrets are ``SecretStr``
and come from the environment, a ``_file`` key, or a file that only its owner can read.
"""

from __future__ import annotations

import json
import os
import re
import stat
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, EnvSettingsSource, NoDecode, SettingsConfigDict, SettingsError

from botkit.errors import ConfigError, UnknownNameError

CONFIG_FILE = "config.toml"
PREFIX = "BOTKIT_"
NOT_SETTINGS = ("BOTKIT_DATA", "BOTKIT_KEY", "BOTKIT_CHROMIUM")
"""Variables of ours that are no settings; neither is anything that begins with ``BOTKIT_TEST_``."""
NO_TEXT = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
DEFAULT_MODEL = "smollm2-135m-instruct"


def _listed(value: object) -> object:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _absent_if_empty(value: object) -> object:
    return None if isinstance(value, str) and not value.strip() else value


STRICT = SettingsConfigDict(
    extra="forbid", frozen=True, coerce_numbers_to_str=True, use_attribute_docstrings=True,
    env_prefix=PREFIX, env_nested_delimiter="__",
)  # fmt: skip
Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_listed)]
"""A list of names; on the command line and in the environment, joined by commas."""


class Section(BaseModel):
    """A table of the settings; unknown keys are errors."""

    model_config = STRICT


class ChatSettings(Section):
    """How the bot talks."""

    trigger: Literal["mention", "always"] = "mention"
    """When it answers in groups: if it is meant (mention, reply to it), or always."""
    scope: Literal["auto", "chat", "thread", "member", "reply"] = "auto"
    """What counts as one conversation: the platform's thread (auto), chat, thread, member, or reply tree."""
    persona: str = "You are a helpful assistant."
    """What the model is told of itself before each conversation; may be empty."""
    max_message_bytes: int = Field(default=64 * 1024, ge=1)
    """The longest message that is read, in bytes of UTF-8."""


class SamplingSettings(Section):
    """How the next token is chosen."""

    max_tokens: int = Field(default=256, ge=1)
    """The longest answer, in tokens."""
    temperature: float = Field(default=0.5, ge=0, le=100)
    """0 takes the likeliest token; higher is more surprising."""
    top_k: int = Field(default=50, ge=0)
    """Only the k likeliest tokens are drawn from; 0: all."""
    top_p: float = Field(default=0.95, gt=0, le=1)
    """Only the likeliest tokens that have this share of probability together."""
    min_p: float = Field(default=0.0, ge=0, le=1)
    """Only tokens at least this likely, relative to the likeliest."""
    repetition_penalty: float = Field(default=1.1, gt=0, le=100)
    """Makes tokens that the answer has used already less likely; 1: off."""
    seed: Annotated[int | None, BeforeValidator(_absent_if_empty)] = None
    """A number makes each answer repeatable; empty draws a fresh one."""


class EngineSettings(Section):
    """The process that runs a model."""

    device: str = Field(default="auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$")
    """auto, cpu, cuda or cuda:N."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """auto: bfloat16 where the processor has it, else float32."""
    quantize: Literal["none"] = "none"
    """none: the weights as they are."""
    slots: int = Field(default=8, ge=1, le=256)
    """How many conversations are answered at the same time."""
    context_tokens: int = Field(default=2048, ge=32)
    """The longest prompt and answer together, in tokens; the model's own limit, if that is shorter."""
    prefill_tokens: int = Field(default=256, ge=16)
    """How many prompt tokens are read at once while others are being answered."""
    threads: int = Field(default=0, ge=0, le=1024)
    """Processor threads; 0: as many as there are cores to use."""
    reply_limit_s: float = Field(default=300.0, gt=0)
    """The longest time for one answer, in seconds."""


class QueueSettings(Section):
    """The line before a model."""

    max_waiting: int = Field(default=200, ge=1)
    """The most requests that may wait."""
    max_waiting_per_person: int = Field(default=4, ge=1)
    """The most requests of one person that may wait."""
    quantum_tokens: int = Field(default=500, ge=1)
    """How many tokens a person gets before the next person's turn."""
    deadline_s: float = Field(default=30.0, gt=0)
    """The longest wait in line, in seconds."""


class DatabaseSettings(Section):
    """Where conversations are kept."""

    url: SecretStr = SecretStr("")
    """Empty: SQLite in the data folder; or postgresql://USER:PASSWORD@HOST/NAME."""
    auto_migrate: bool = True
    """Bring an older schema up to date at the start; else 'botkit db upgrade' does."""


class WebSettings(Section):
    """The web chat and the OpenAI-compatible API."""

    enabled: bool = True
    """Serve them."""
    host: str = "127.0.0.1"
    """The address to listen on; beyond this machine only with a key."""
    port: int = Field(default=8080, ge=0, le=65535)
    """The port to listen on; 0: any that is free."""
    page: bool = True
    """Serve the chat page beside the API."""
    api_key: Annotated[SecretStr | None, BeforeValidator(_absent_if_empty)] = None
    """What callers must show; none is needed on this machine alone."""
    api_key_file: Annotated[Path | None, BeforeValidator(_absent_if_empty)] = None
    """A file that holds the key."""


class LogSettings(Section):
    """What is logged, on standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """debug shows message text, too."""
    format: Literal["auto", "text", "json"] = "auto"
    """auto: text in a terminal, JSON elsewhere."""


class PluginSettings(Section):
    """Installed plugins."""

    disabled: Names = ()
    """Names of plugins to leave out."""


class Settings(BaseSettings):
    """All settings, validated.  Made by ``load_settings``."""

    model_config = STRICT

    data_dir: Path
    model: str = DEFAULT_MODEL
    """The model that answers; 'botkit models list' shows what there is."""
    chat: ChatSettings = ChatSettings()
    sampling: SamplingSettings = SamplingSettings()
    engine: EngineSettings = EngineSettings()
    queue: QueueSettings = QueueSettings()
    database: DatabaseSettings = DatabaseSettings()
    web: WebSettings = WebSettings()
    log: LogSettings = LogSettings()
    plugins: PluginSettings = PluginSettings()
    adapters: dict[str, dict[str, Any]] = Field(default_factory=dict, repr=False)
    """A table for each chat platform, as its plugin describes it."""

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], init_settings: Any, *_others: Any, **_named: Any
    ) -> tuple[Any, ...]:
        """Take values from the constructor alone: ``load_settings`` has put the sources in order."""
        return (init_settings,)


def default_data_dir() -> Path:
    """Return the data folder: BOTKIT_DATA, else the platform's folder for user data."""
    if given := os.environ.get("BOTKIT_DATA"):
        return Path(given).expanduser().absolute()
    import platformdirs

    return Path(platformdirs.user_data_dir("botkit", appauthor=False))


def load_settings(
    data_dir: Path | None = None, config: Path | None = None, overrides: Sequence[str] = ()
) -> Settings:
    """Return the settings of *data_dir* (None: ``default_data_dir``), in the order of the module's docstring.

    *config* names a file that must exist; None takes ``config.toml`` of the data folder if there is one.
    *overrides* are ``dotted.key=value`` words.  Raises ConfigError with one line.
    """
    folder = default_data_dir() if data_dir is None else data_dir.expanduser().absolute()
    path = config or folder / CONFIG_FILE
    sources = {
        str(path): _read_file(path, must_exist=config is not None),
        "the environment": _environment(),
        "--set": _overrides(overrides),
    }
    merged: dict[str, Any] = {}
    for origin, values in sources.items():
        for key in _unknown_keys(values):
            unknown = UnknownNameError("setting", key, [".".join(known) for known in known_keys()])
            hint = "use --data or BOTKIT_DATA" if key == "data_dir" else unknown.hint
            raise ConfigError(f"{unknown} in {origin}", hint=hint)
        _check_text(values, origin)
        _merge(merged, values)
    try:
        settings = Settings(data_dir=folder, **merged)
    except ValidationError as error:
        raise _config_error(error, sources) from None
    _check_mode(path, sources[str(path)])
    return _with_secret_files(settings)


def known_keys() -> Iterator[tuple[str, ...]]:
    """Yield the path of every key that may be set, those of plugins' adapters aside."""
    for name, field in Settings.model_fields.items():
        section = field.annotation
        if isinstance(section, type) and issubclass(section, Section):
            yield from ((name, key) for key in section.model_fields)
        elif name not in ("data_dir", "adapters"):
            yield (name,)


def secrets_of(settings: Settings) -> list[str]:
    """Return the values that no log may show."""
    found = [settings.web.api_key, settings.database.url]
    values = [one.get_secret_value() for one in found if one is not None]
    for table in settings.adapters.values():
        values += [str(value) for key, value in table.items() if is_secret(key)]
    return [value for value in values if value]


def is_secret(key: str) -> bool:
    """Tell whether the value of a key, whoever defines it, must be kept from others' eyes."""
    return key == "url" or key.endswith(("token", "secret", "password", "key"))


def _read_file(path: Path, *, must_exist: bool) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        if must_exist:
            raise ConfigError(f"there is no settings file {path}", hint="'botkit init' writes one") from None
        return {}
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:  # TOML's errors and those of UTF-8
        raise ConfigError(f"{path} is not valid TOML: {error}") from None


def _environment() -> dict[str, Any]:
    for name in os.environ:
        if name.startswith(PREFIX) and name not in NOT_SETTINGS and not name.startswith("BOTKIT_TEST_"):
            named = _nested(name.removeprefix(PREFIX).lower().split("__"), "")
            if list(_unknown_keys(named)):
                return named  # the source leaves unknown names out; they are errors here
    try:
        return dict(EnvSettingsSource(Settings)())
    except SettingsError:
        hint = "a single key is BOTKIT_ADAPTERS__NAME__KEY"
        raise ConfigError("BOTKIT_ADAPTERS in the environment is no table in JSON", hint=hint) from None


def _overrides(words: Sequence[str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key.strip():
            raise ConfigError(f"--set {word!r} is not dotted.key=value", hint="as in --set web.port=8081")
        _merge(values, _nested(key.strip().split("."), value))
    return values


def _nested(path: Sequence[str], value: Any) -> dict[str, Any]:
    for key in reversed(path):
        value = {key: value}
    return dict(value)


def _merge(into: dict[str, Any], values: Mapping[str, Any]) -> None:
    for key, value in values.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = dict(value) if isinstance(value, dict) else value


def _check_text(values: Mapping[str, Any], origin: str, above: str = "") -> None:
    """Raise ConfigError for a text with characters that no terminal, file or model could take."""
    for key, value in values.items():
        if isinstance(value, dict):
            _check_text(value, origin, f"{above}{key}.")
        elif isinstance(value, str) and NO_TEXT.search(value):
            raise ConfigError(f"{above}{key} in {origin} has control characters or is not valid UTF-8")


def _unknown_keys(values: Mapping[str, Any]) -> Iterator[str]:
    """Yield the dotted name of each key that no section has; so does a plain value for a section."""
    known = set(known_keys())
    sections = {path[0] for path in known if len(path) == 2}
    for name, value in values.items():
        if name == "adapters":
            continue
        if name not in sections and not isinstance(value, dict):
            if (name,) not in known:
                yield name
        elif isinstance(value, dict):
            yield from (f"{name}.{key}" for key in value if (name, key) not in known)
        else:
            yield name


def _config_error(error: ValidationError, sources: Mapping[str, dict[str, Any]]) -> ConfigError:
    """Return one line for the first thing that is off, with the source it came from and never its value."""
    first = error.errors(include_url=False, include_input=False)[0]
    path = [str(part) for part in first["loc"]]
    origin = next(
        (name for name, values in reversed([*sources.items()]) if _has(values, path)), "the settings"
    )
    reason = first["msg"][0].lower() + first["msg"][1:]
    return ConfigError(f"{'.'.join(path)} in {origin}: {reason}")


def _has(values: Any, path: Sequence[str]) -> bool:
    for key in path:
        if not isinstance(values, dict) or key not in values:
            return False
        values = values[key]
    return True


def _check_mode(path: Path, values: Mapping[str, Any]) -> None:
    """Refuse a file with secrets in it that others may read."""
    tables = [values.get("web"), values.get("database"), *(values.get("adapters") or {}).values()]
    has_secret = any(is_secret(key) and value for table in tables if table for key, value in table.items())
    if has_secret and stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise ConfigError(f"{path} holds a secret, but others may read it", hint=f"chmod 600 {path}")


def _with_secret_files(settings: Settings) -> Settings:
    """Return *settings* with the key that ``web.api_key_file`` holds."""
    path = settings.web.api_key_file
    if path is None:
        return settings
    try:
        key = path.expanduser().read_text("utf-8").strip()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"web.api_key_file {path} cannot be read: {reason}") from None
    if not key:
        raise ConfigError(f"web.api_key_file {path} is empty")
    web = settings.web.model_copy(update={"api_key": SecretStr(key)})
    return settings.model_copy(update={"web": web})


def example() -> str:
    """Return a settings file with every key in it, commented out, its default and its meaning beside it."""
    lines = ["# botkit's settings. Every line shows a default; take the # away to change it.", ""]
    for name, field in Settings.model_fields.items():
        section = field.annotation
        if isinstance(section, type) and issubclass(section, Section):
            lines += ["", f"# {section.__doc__}", f"[{name}]"]
            lines += [line for key, one in section.model_fields.items() for line in _example_lines(key, one)]
        elif name not in ("data_dir", "adapters"):
            lines += _example_lines(name, field)
    return "\n".join(lines) + "\n"


def _example_lines(key: str, field: Any) -> list[str]:
    default = field.default.get_secret_value() if isinstance(field.default, SecretStr) else field.default
    choices = [one for one in get_args(field.annotation) if isinstance(one, str)]
    meaning = field.description + (f" One of: {', '.join(choices)}." if len(choices) > 1 else "")
    return [f"# {meaning}", f"# {key} = {_toml(default)}"]


def _toml(value: object) -> str:
    """Return a default as TOML, of which JSON's texts, numbers and lists are a part."""
    return '""' if value is None else json.dumps(value, ensure_ascii=False)
