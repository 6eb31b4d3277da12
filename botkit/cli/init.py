"""``botkit init``: the first settings file."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from botkit.cli.context import App
from botkit.errors import ConfigError, EnvironmentFailure

if TYPE_CHECKING:
    from botkit.cli.context import Context
    from botkit.config import Settings

app = App()

QUESTIONS = {
    "model": "Which model should answer",
    "web.port": "Which port should the web chat listen on",
    "chat.persona": "What should the model be told of itself",
}


@app.command()
def init(
    context: typer.Context,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing, take the defaults.")] = False,
) -> None:
    """Write a settings file, with every key explained in it, into the data folder; none is overwritten."""
    from botkit.config import CONFIG_FILE, default_data_dir

    shell: Context = context.obj
    folder = (shell.data or default_data_dir()).expanduser().absolute()
    path = shell.config or folder / CONFIG_FILE
    overrides = list(shell.overrides)
    is_conversation = not (yes or shell.json or path.exists()) and sys.stdin.isatty()
    if is_conversation:
        overrides += _ask(shell, folder, overrides)
    text = _text(_settings(folder, overrides), overrides)
    is_new = _write(path, text)
    line = (
        f"wrote {path}; 'botkit run' starts the bot" if is_new else f"{path} is there already, just like this"
    )
    shell.tell(line, {"file": str(path), "written": is_new})


def _settings(folder: Path, overrides: Sequence[str]) -> Settings:
    """Return the settings that *overrides* make of the defaults, whatever file there is."""
    from botkit.config import load_settings

    return load_settings(folder, Path(os.devnull), overrides)


def _ask(shell: Context, folder: Path, overrides: Sequence[str]) -> list[str]:
    """Return ``key=value`` for each answer that is not the default; a value that cannot be is asked again."""
    answers: list[str] = []
    for key, question in QUESTIONS.items():
        while True:
            default = _value(_settings(folder, [*overrides, *answers]), key.split("."))
            answer = typer.prompt(question, default=str(default)).strip()
            if answer == str(default):
                break
            try:
                _settings(folder, [*overrides, *answers, f"{key}={answer}"])
            except ConfigError as error:
                shell.errors.print(error.line(), markup=False, highlight=False, soft_wrap=True)
            else:
                answers.append(f"{key}={answer}")
                break
    return answers


def _text(settings: Settings, overrides: Sequence[str]) -> str:
    """Return the example with the keys of *overrides* taken out of their comments."""
    import tomlkit

    from botkit.config import example

    chosen = [tuple(word.partition("=")[0].strip().split(".")) for word in overrides]
    values = {path: _value(settings, path) for path in chosen}
    lines: list[str] = []
    section: tuple[str, ...] = ()
    for line in example().splitlines():
        if line.startswith("["):
            section = (line.strip("[]"),)
        path = (*section, line.removeprefix("# ").partition(" = ")[0])
        is_key = line.startswith("# ") and path in values
        lines.append(f"{path[-1]} = {tomlkit.item(values.pop(path)).as_string()}" if is_key else line)
    if values:
        # Platforms' tables are described by their plugins, so the example has no place for them.
        lines += ["", tomlkit.dumps(_nested(values)).rstrip()]
    return "\n".join(lines) + "\n"


def _value(settings: Any, path: Sequence[str]) -> Any:
    """Return the value of one key as TOML can hold it."""
    value = settings
    for name in path:
        value = value[name] if isinstance(value, Mapping) else getattr(value, name)
    if hasattr(value, "get_secret_value"):
        value = value.get_secret_value()
    if value is None or isinstance(value, Path):
        return str(value or "")
    return list(value) if isinstance(value, tuple) else value


def _nested(values: Mapping[tuple[str, ...], Any]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for path, value in values.items():
        table = tree
        for name in path[:-1]:
            table = table.setdefault(name, {})
        table[path[-1]] = value
    return tree


def _write(path: Path, text: str) -> bool:
    """Write *text* to the new file *path*; False if it has that very text already.

    Raises EnvironmentFailure for a file with another text, and for a folder that cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not path.exists():
            _create(path, text)
            return True
        is_same = path.read_text("utf-8", "replace") == text
    except OSError as error:
        raise EnvironmentFailure(
            f"cannot write {path}: {error.strerror or error}",
            hint="make the folder writable, or choose another with --data",
        ) from error
    if not is_same:
        raise EnvironmentFailure(f"{path} exists already", hint="edit it, or move it away first")
    return False


def _create(path: Path, text: str) -> None:
    # The mode is right from the beginning: the file may get a secret, and may have one now.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError:
        path.unlink()
        raise
