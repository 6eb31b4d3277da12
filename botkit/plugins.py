"""Finding plugins, and keeping what they register.

Each entry point of the group ``botkit`` is loaded on its own.  Whatever goes wrong with one of them becomes
its report, and the others are used: one broken plugin never stops the bot.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal

import pluggy

from botkit.errors import PluginError, UnknownNameError
from botkit.hookspecs import (
    GROUP,
    AdapterSpec,
    ArchitectureSpec,
    BackendSpec,
    Hooks,
    ModelImporter,
    ModelSource,
)
from botkit.protocols import Filter


@dataclass(frozen=True, slots=True)
class PluginReport:
    """How the loading of one plugin went.

    ``error`` is one line; ``hooks`` are those it implements; ``registered`` is what it brought, as in
    ``backend echo``, filters aside, which need the settings.
    """

    name: str
    state: Literal["loaded", "broken", "disabled"]
    version: str = ""
    error: str = ""
    hooks: tuple[str, ...] = ()
    registered: tuple[str, ...] = ()


@dataclass
class Plugins:
    """What the installed plugins brought, by name."""

    architectures: dict[str, ArchitectureSpec] = field(default_factory=dict)
    """By each ``model_type`` that the architecture claims."""
    backends: dict[str, BackendSpec] = field(default_factory=dict)
    adapters: dict[str, AdapterSpec] = field(default_factory=dict)
    models: dict[str, ModelSource] = field(default_factory=dict)
    importers: dict[str, ModelImporter] = field(default_factory=dict)
    _reports: dict[str, PluginReport] = field(default_factory=dict)
    _loaded: list[tuple[str, pluggy.PluginManager]] = field(default_factory=list)

    @classmethod
    def load(cls, disabled: Iterable[str] = (), points: Iterable[EntryPoint] | None = None) -> Plugins:
        """Load every installed plugin but the *disabled* ones; tests hand in *points* of their own."""
        plugins, left_out = cls(), set(disabled)
        found = entry_points(group=GROUP) if points is None else points
        for point in sorted(found, key=lambda point: point.name):
            version = point.dist.version if point.dist else ""
            report = PluginReport(point.name, "loaded", version)
            if point.name in left_out:
                plugins._reports[point.name] = replace(report, state="disabled")
            elif point.name in plugins._reports:
                report = replace(report, state="broken", error=f"another plugin is called '{point.name}' too")
                plugins._reports[f"{point.name} ({point.value})"] = report
            else:
                plugins._reports[point.name] = plugins._load_one(point, report)
        unknown = left_out - plugins._reports.keys()
        if unknown:
            raise UnknownNameError("plugin", sorted(unknown)[0], plugins._reports)
        return plugins

    @property
    def reports(self) -> tuple[PluginReport, ...]:
        """How the loading of each plugin went."""
        return tuple(self._reports.values())

    def filters(self, settings: Any) -> list[Filter]:
        """Return the filters that plugins bring, in their order; one that fails to register is reported."""
        filters: list[Filter] = []
        for name, manager in self._loaded:
            own: list[Filter] = []
            try:
                manager.hook.register_filters(register=own.append, settings=settings)
                _check_filters(own)
            except Exception as error:
                self._break(name, error)
            else:
                filters += own
        return sorted(filters, key=lambda one: one.order)

    def _load_one(self, point: EntryPoint, report: PluginReport) -> PluginReport:
        """Load one plugin into a manager of its own and collect what it registers."""
        manager = pluggy.PluginManager(GROUP)
        manager.add_hookspecs(Hooks)
        try:
            plugin = point.load()
            manager.register(plugin, point.name)
            manager.check_pending()
            hooks = tuple(sorted(caller.name for caller in manager.get_hookcallers(plugin) or ()))
            _check_hooks(manager, hooks)
            entries = _collect(manager)
            self._refuse_taken_names(entries)
        except (Exception, SystemExit) as error:  # some modules exit when their arguments are wrong
            return replace(report, state="broken", error=_line(error))
        for table, new in entries.items():
            getattr(self, table).update(new)
        self._loaded.append((point.name, manager))
        brought = (f"{table.removesuffix('s')} {name}" for table, new in entries.items() for name in new)
        return replace(report, hooks=hooks, registered=tuple(brought))

    def _refuse_taken_names(self, entries: dict[str, dict[str, Any]]) -> None:
        for table, new in entries.items():
            taken = sorted(getattr(self, table).keys() & new.keys())
            if taken:
                raise PluginError(f"another plugin registered '{taken[0]}' in {table} already")

    def _break(self, name: str, error: Exception) -> None:
        self._reports[name] = replace(self._reports[name], state="broken", error=_line(error))


def _collect(manager: pluggy.PluginManager) -> dict[str, dict[str, Any]]:
    """Call the registering hooks of one plugin and return what it registered, by table and name."""
    tables: dict[str, dict[str, Any]] = {}

    def registrar(table: str, kind: type[Any]) -> Callable[[Any], None]:
        entries = tables.setdefault(table, {})

        def register(spec: Any) -> None:
            if not isinstance(spec, kind):
                raise PluginError(f"it registered {spec!r:.80} in {table}, which takes a {kind.__name__}")
            for name in spec.model_types if isinstance(spec, ArchitectureSpec) else (spec.name,):
                if name in entries:
                    raise PluginError(f"it registered '{name}' in {table} twice")
                entries[name] = spec

        return register

    add_backend = registrar("backends", BackendSpec)

    def register_backend(name: str, create: Callable[[Any], Any], summary: str = "") -> None:
        add_backend(BackendSpec(name, create, summary))

    hook = manager.hook
    hook.register_backends(register=register_backend)
    hook.register_architectures(register=registrar("architectures", ArchitectureSpec))
    hook.register_adapters(register=registrar("adapters", AdapterSpec))
    hook.register_models(register=registrar("models", ModelSource))
    hook.register_importers(register=registrar("importers", ModelImporter))
    return tables


def _check_hooks(manager: pluggy.PluginManager, hooks: Iterable[str]) -> None:
    """Raise PluginError for a plugin without hooks, and for an ``async def`` hook: nobody would await it."""
    if not hooks:
        raise PluginError("it implements no hook", hint="mark its functions with @botkit.hookimpl")
    for name in hooks:
        for implementation in getattr(manager.hook, name).get_hookimpls():
            if inspect.iscoroutinefunction(implementation.function):
                raise PluginError(f"hook '{name}' is async", hint="hooks only register; write 'def'")


def _check_filters(filters: Iterable[Filter]) -> None:
    for one in filters:
        if not (isinstance(getattr(one, "name", None), str) and isinstance(getattr(one, "order", None), int)):
            raise PluginError(f"it registered {one!r:.80}, which has no name and order of a filter")


def _line(error: BaseException) -> str:
    if isinstance(error, PluginError):
        return error.line()
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
