"""The checks of ``botkit doctor``: each looks at one thing, changes nothing, and returns what it found."""

from __future__ import annotations

import ipaddress
import os
import platform
import socket
import sqlite3
import stat
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from botkit import __version__
from botkit.cli import machine
from botkit.errors import BotkitError, UnknownNameError

if TYPE_CHECKING:
    from botkit.config import Settings
    from botkit.engine.checkpoint import Checkpoint
    from botkit.plugins import Plugins

LIBRARIES = ("torch", "tokenizers", "safetensors", "sqlalchemy", "alembic", "pydantic", "fastapi", "nicegui")
LOW_DISK_BYTES = 2 * 2**30
BYTES_PER_NUMBER = {"float32": 4, "bfloat16": 2, "float16": 2}
# https://sqlite.org/releaselog: two connections in WAL mode can lose commits before these.
_SQLITE_SOUND = (3, 51, 3)
_SQLITE_BACKPORTS = ((3, 50, 7), (3, 44, 6))

State = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found, and in ``hint`` what to do about it."""

    check: str
    state: State
    detail: str
    hint: str = ""


def failure(check: str, error: BotkitError, state: State = "fail") -> Finding:
    """Return *error* as a finding."""
    return Finding(check, state, str(error), error.hint)


def python() -> Finding:
    """Tell the versions of Python and botkit."""
    return Finding("python", "ok", f"{platform.python_version()}, botkit {__version__}")


def libraries() -> Finding:
    """Tell the versions of the libraries that matter, without importing them."""
    found = {name: _version(name) for name in LIBRARIES}
    missing = [name for name, number in found.items() if not number]
    if missing:
        return Finding("libraries", "fail", f"missing: {', '.join(missing)}", "install botkit again")
    return Finding("libraries", "ok", ", ".join(f"{name} {number}" for name, number in found.items()))


def sqlite(number: tuple[int, ...] = sqlite3.sqlite_version_info) -> Finding:
    """Tell SQLite's version, and whether it has the fault that one connection cannot meet."""
    shown = ".".join(map(str, number))
    sound = number >= _SQLITE_SOUND or any(
        good <= number < (good[0], good[1] + 1) for good in _SQLITE_BACKPORTS
    )
    fault = (
        "" if sound else "; older than 3.51.3 with its WAL fault, harmless here: botkit has one connection"
    )
    return Finding("sqlite", "ok", shown + fault)


def processor(settings: Settings) -> Finding:
    """Tell the cores, the threads that are used, and whether bfloat16 is fast."""
    found = machine.processor()
    bfloat16 = {True: "bfloat16", False: "no bfloat16", None: "bfloat16 unknown"}[found.has_bfloat16]
    threads = settings.engine.threads or found.cores
    detail = f"{found.cores} cores, {threads} threads for the engine, {bfloat16}"
    if threads > found.cores:
        return Finding(
            "processor", "warn", detail, "more threads than cores are slower; set engine.threads=0"
        )
    return Finding("processor", "ok", detail)


def gpu(settings: Settings, root: Path = machine.ROOT) -> Finding:
    """Tell the GPUs, and whether torch and the settings go together with them."""
    names, torch = machine.gpus(root), _version("torch")
    if not names:
        wanted = settings.engine.device.startswith("cuda")
        hint = "unless you know better, set engine.device=auto" if wanted else ""
        return Finding("gpu", "warn" if wanted else "ok", "no NVIDIA GPU is known to the system", hint)
    if torch.endswith("+cpu"):
        hint = "install a torch with CUDA to use it"
        return Finding(
            "gpu", "warn", f"{', '.join(names)}, but torch {torch} is for the processor only", hint
        )
    return Finding("gpu", "ok", ", ".join(names))


def folder(settings: Settings) -> Finding:
    """Tell whether the data folder can be written, and by whom it can be read."""
    path = settings.data_dir
    hint = "make it writable, or choose another with --data"
    above = machine.nearest_existing(path)
    if not above.is_dir():
        return Finding("folder", "fail", f"{above} is no folder", "choose another with --data")
    if not os.access(above, os.W_OK | os.X_OK):
        return Finding("folder", "fail", f"{above} cannot be written", hint)
    if above != path:
        return Finding("folder", "ok", f"{path} will be made")
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        return Finding("folder", "warn", f"{path} is open to others (mode {mode:o})", f"chmod 700 {path}")
    return Finding("folder", "ok", str(path))


def disk(settings: Settings) -> Finding:
    """Tell the free space at the data folder."""
    try:
        free = machine.free_disk_bytes(settings.data_dir)
    except OSError as error:
        return Finding("disk", "fail", f"the free space is unknown: {error.strerror or error}")
    low = free < LOW_DISK_BYTES
    hint = (
        "models and conversations need room; make some, or choose another folder with --data" if low else ""
    )
    return Finding("disk", "warn" if low else "ok", f"{gigabytes(free)} free", hint)


def key(settings: Settings) -> Finding:
    """Tell whether the key that seals the conversations is there, sound and private; makes none."""
    from botkit.store.address import default_url, parse_address
    from botkit.store.seal import KEY_FILE, KEY_VARIABLE, Sealer

    path = settings.data_dir / KEY_FILE
    try:
        if os.environ.get(KEY_VARIABLE, "").strip():
            Sealer.open(settings.data_dir)
            return Finding("key", "ok", f"from {KEY_VARIABLE}")
        if not path.exists():
            database = parse_address(
                settings.database.url.get_secret_value() or default_url(settings.data_dir)
            )
            if database.path is not None and database.path.exists():
                hint = f"bring it back; without it the text in {database.shown} cannot be read"
                return Finding("key", "fail", f"{path} is missing", hint)
            return Finding("key", "ok", "none yet; the first start makes one")
        Sealer.open(settings.data_dir)
    except BotkitError as error:
        return failure("key", error)
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        return Finding("key", "warn", f"others may read {path}", f"chmod 600 {path}")
    return Finding("key", "ok", str(path))


def database(settings: Settings) -> Finding:
    """Tell the schema of the database; one that is not there yet is fine."""
    from botkit.store import migrate
    from botkit.store.address import default_url, parse_address

    url = settings.database.url.get_secret_value() or default_url(settings.data_dir)
    try:
        address = parse_address(url)
        if address.path is not None and not address.path.exists():
            return Finding("database", "ok", "none yet; the first start makes it")
        found = migrate.current(url)
    except BotkitError as error:
        return failure("database", error)
    where = f"{address.shown}, schema {found.current}"
    if found.current == found.newest:
        return Finding("database", "ok", where)
    if found.current is not None and found.current > found.newest:
        detail = f"{where}, newer than {found.newest}, the newest this botkit knows"
        return Finding("database", "fail", detail, "upgrade botkit, or restore an older copy")
    if settings.database.auto_migrate:
        return Finding(
            "database", "ok", f"{address.shown}; the next start brings it to schema {found.newest}"
        )
    return Finding("database", "fail", f"{where}, but {found.newest} is needed", "run 'botkit db upgrade'")


def plugins(found: Plugins, settings: Settings) -> list[Finding]:
    """Tell how the plugins were loaded; a broken one, and an adapter that nobody brings, are findings."""
    found.filters(settings)
    reports = found.reports
    loaded = [one.name for one in reports if one.state == "loaded"]
    findings = [Finding("plugins", "ok", f"loaded: {', '.join(loaded) or 'none'}")]
    for one in reports:
        if one.state == "broken":
            hint = "repair or uninstall it, or name it in plugins.disabled; the bot goes on without it"
            findings.append(Finding("plugins", "warn", f"{one.name}: {one.error}", hint))
    for name in settings.adapters:
        if name not in found.adapters:
            findings.append(failure("plugins", UnknownNameError("adapter", name, found.adapters)))
    return findings


def model(settings: Settings, found: Plugins) -> list[Finding]:
    """Tell whether the model is there and sound, and whether it fits into the memory."""
    from botkit.engine.checkpoint import Checkpoint
    from botkit.engine.codec import TextCodec
    from botkit.engine.library import ModelLibrary

    name, library = settings.model, ModelLibrary(settings.data_dir / "models")
    if name in found.backends:
        return [Finding("model", "ok", f"{name} is served by a plugin, without files")]
    try:
        known = {*library.names(), *found.backends, *found.models}
        if name not in known:
            raise UnknownNameError("model", name, known)
        path = library.path(name, found)
        checkpoint = Checkpoint.open(path)
        if checkpoint.model_type not in found.architectures:
            raise UnknownNameError("architecture", checkpoint.model_type, found.architectures)
        TextCodec.load(path)
        check = found.architectures[checkpoint.model_type].check
        if check is not None:
            check(path)
    except BotkitError as error:
        return [failure("model", error)]
    detail = f"{name}: {checkpoint.model_type}, {checkpoint.n_parameters:,} parameters"
    return [Finding("model", "ok", detail), memory(settings, checkpoint)]


def memory(
    settings: Settings,
    checkpoint: Checkpoint,
    available: Callable[[], int | None] = machine.available_memory_bytes,
) -> Finding:
    """Tell whether the weights fit into the memory that is left."""
    halves = machine.gpus() or machine.processor().has_bfloat16
    dtype = settings.engine.dtype
    each = BYTES_PER_NUMBER.get(dtype, 2 if halves else 4)
    needed, left = checkpoint.n_parameters * each, available()
    if left is None:
        return Finding("memory", "ok", f"the weights need {gigabytes(needed)}; what is free is unknown")
    detail = f"{gigabytes(left)} free, the weights need {gigabytes(needed)}"
    if needed > left:
        return Finding("memory", "warn", detail, "choose a smaller model, or end other programs")
    return Finding("memory", "ok", detail)


def port(settings: Settings) -> Finding:
    """Tell whether the web server may listen where it is to."""
    web = settings.web
    if not web.enabled:
        return Finding("port", "ok", "none: web.enabled is false")
    if web.api_key is None and not _is_loopback(web.host):
        hint = "set web.api_key, or web.host=127.0.0.1"
        return Finding("port", "fail", f"{web.host} can be reached by others, but there is no key", hint)
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            web.host, web.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        hint = f"end what uses it (a running botkit?), or set web.port={web.port % 65535 + 1}"
        return Finding("port", "fail", f"{web.host}:{web.port}: {error.strerror or error}", hint)
    return Finding("port", "ok", f"{web.host}:{web.port or 'any'} is free")


def gigabytes(n_bytes: int) -> str:
    """Return *n_bytes* for people."""
    return f"{n_bytes / 2**30:.2f} GB"


def _version(name: str) -> str:
    """Return the installed version of a library, or nothing."""
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
