"""Loading plugins: one at a time, and a broken one becomes a report."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint
from typing import Any

import pytest

from botkit.errors import UnknownNameError
from botkit.hookspecs import (
    GROUP,
    AdapterSpec,
    ArchitectureSpec,
    ModelImporter,
    ModelSource,
    hookimpl,
)
from botkit.plugins import PluginReport, Plugins

MakePlugin = Callable[..., EntryPoint]


@pytest.fixture
def plugin() -> Iterator[MakePlugin]:
    """Makes a module of the given functions and returns the entry point that names it."""
    made: list[str] = []

    def make(name: str, *hooks: Callable[..., Any], marked: bool = True) -> EntryPoint:
        module = types.ModuleType(f"botkit_test_{name}_{len(made)}")
        for hook in hooks:
            setattr(module, hook.__name__, hookimpl(hook) if marked else hook)
        sys.modules[module.__name__] = module
        made.append(module.__name__)
        return EntryPoint(name, module.__name__, GROUP)

    yield make
    for module_name in made:
        del sys.modules[module_name]


def backend_hook(*names: str) -> Callable[..., None]:
    def register_backends(register: Callable[..., None]) -> None:
        for name in names:
            register(name, create=lambda settings: None, summary=f"serves {name}")

    return register_backends


def report_of(plugins: Plugins, name: str) -> PluginReport:
    (found,) = [report for report in plugins.reports if report.name == name]
    return found


def assert_broken(plugins: Plugins, name: str, error: str) -> None:
    report = report_of(plugins, name)
    assert report.state == "broken"
    assert error in report.error
    assert "\n" not in report.error


def test_every_kind_of_part_is_registered_by_name(plugin: MakePlugin) -> None:
    architecture = ArchitectureSpec("lstm", ("lstm", "lstm-peephole"), load=print)
    adapter = AdapterSpec("chat", create=print, enabled=bool)
    source = ModelSource("tiny", fetch=print)
    importer = ModelImporter("onnx", recognises=bool, convert=print)

    def register_architectures(register: Callable[..., None]) -> None:
        register(architecture)

    def register_adapters(register: Callable[..., None]) -> None:
        register(adapter)

    def register_models(register: Callable[..., None]) -> None:
        register(source)

    def register_importers(register: Callable[..., None]) -> None:
        register(importer)

    hooks = (register_architectures, register_adapters, register_models, register_importers)
    plugins = Plugins.load(points=[plugin("all", *hooks, backend_hook("a", "b"))])

    assert plugins.architectures == {"lstm": architecture, "lstm-peephole": architecture}
    assert plugins.adapters == {"chat": adapter}
    assert plugins.models == {"tiny": source}
    assert plugins.importers == {"onnx": importer}
    assert [spec.summary for spec in plugins.backends.values()] == ["serves a", "serves b"]
    assert report_of(plugins, "all").state == "loaded"
    assert len(report_of(plugins, "all").hooks) == 5


def test_a_module_that_cannot_be_imported_is_a_report_and_the_others_load(plugin: MakePlugin) -> None:
    broken = EntryPoint("aaa", "botkit_no_such_module", GROUP)
    plugins = Plugins.load(points=[broken, plugin("fine", backend_hook("x"))])

    assert_broken(plugins, "aaa", "ModuleNotFoundError: No module named 'botkit_no_such_module'")
    assert list(plugins.backends) == ["x"]


@pytest.mark.parametrize("statement", ["raise SystemExit(2)", "1 / 0", "this is no python"])
def test_whatever_an_import_does_it_is_a_report(
    statement: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "botkit_test_bad.py").write_text(statement)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "botkit_test_bad", raising=False)
    plugins = Plugins.load(points=[EntryPoint("bad", "botkit_test_bad", GROUP)])

    assert report_of(plugins, "bad").state == "broken"


def test_a_hook_that_does_not_exist_is_reported(plugin: MakePlugin) -> None:
    def register_backend(register: Callable[..., None]) -> None: ...

    assert_broken(Plugins.load(points=[plugin("typo", register_backend)]), "typo", "register_backend")


def test_an_argument_that_does_not_exist_is_reported(plugin: MakePlugin) -> None:
    def register_backends(register: Callable[..., None], colour: str) -> None: ...

    assert_broken(Plugins.load(points=[plugin("typo", register_backends)]), "typo", "colour")


def test_an_async_hook_is_reported_with_what_to_do(plugin: MakePlugin) -> None:
    async def register_backends(register: Callable[..., None]) -> None: ...

    plugins = Plugins.load(points=[plugin("slow", register_backends)])

    assert_broken(plugins, "slow", "hook 'register_backends' is async (hooks only register; write 'def')")


def test_a_hook_that_raises_is_reported_and_registers_nothing(plugin: MakePlugin) -> None:
    def register_backends(register: Callable[..., None]) -> None:
        register("half", create=print)
        raise ValueError("several\nlines")

    plugins = Plugins.load(points=[plugin("bad", register_backends)])

    assert_broken(plugins, "bad", "ValueError: several lines")
    assert plugins.backends == {}


def test_registering_something_else_is_reported(plugin: MakePlugin) -> None:
    def register_adapters(register: Callable[..., None]) -> None:
        register("an adapter")

    assert_broken(Plugins.load(points=[plugin("bad", register_adapters)]), "bad", "AdapterSpec")


def test_a_plugin_without_a_marked_hook_is_reported(plugin: MakePlugin) -> None:
    plugins = Plugins.load(points=[plugin("forgot", backend_hook("x"), marked=False)])

    assert_broken(plugins, "forgot", "implements no hook (mark its functions with @botkit.hookimpl)")


def test_of_two_plugins_with_one_name_the_second_is_reported(plugin: MakePlugin) -> None:
    plugins = Plugins.load(points=[plugin("same", backend_hook("a")), plugin("same", backend_hook("b"))])

    assert sorted(report.state for report in plugins.reports) == ["broken", "loaded"]
    assert list(plugins.backends) == ["a"]
    assert any("another plugin is called 'same'" in report.error for report in plugins.reports)


def test_a_name_that_is_taken_is_reported_and_the_first_stays(plugin: MakePlugin) -> None:
    first, second = plugin("a", backend_hook("x")), plugin("b", backend_hook("x", "y"))
    plugins = Plugins.load(points=[second, first])

    assert_broken(plugins, "b", "another plugin registered 'x' in backends already")
    assert list(plugins.backends) == ["x"]


def test_a_name_that_one_plugin_registers_twice_is_reported(plugin: MakePlugin) -> None:
    plugins = Plugins.load(points=[plugin("a", backend_hook("x", "x"))])

    assert_broken(plugins, "a", "it registered 'x' in backends twice")


def test_a_disabled_plugin_is_not_even_imported() -> None:
    point = EntryPoint("off", "botkit_no_such_module", GROUP)
    plugins = Plugins.load(disabled=["off"], points=[point, point])

    assert [(report.name, report.state) for report in plugins.reports] == [("off", "disabled")]


def test_disabling_what_is_not_there_names_the_nearest(plugin: MakePlugin) -> None:
    with pytest.raises(UnknownNameError) as caught:
        Plugins.load(disabled=["ecko"], points=[plugin("echo", backend_hook("x"))])
    assert "did you mean 'echo'?" in caught.value.line()


class NamedFilter:
    def __init__(self, name: str, order: Any) -> None:
        self.name, self.order = name, order


def filter_hook(*filters: object) -> Callable[..., None]:
    def register_filters(register: Callable[..., None], settings: Any) -> None:
        assert settings == "the settings"
        for one in filters:
            register(one)

    return register_filters


def test_filters_come_in_their_order_with_the_settings(plugin: MakePlugin) -> None:
    points = [
        plugin("a", filter_hook(NamedFilter("late", 5), NamedFilter("early", -5))),
        plugin("b", filter_hook(NamedFilter("mid", 0))),
        plugin("c", backend_hook("x")),
    ]

    assert [one.name for one in Plugins.load(points=points).filters("the settings")] == [
        "early",
        "mid",
        "late",
    ]


def test_filters_of_a_plugin_that_fails_are_left_out_and_it_is_reported(plugin: MakePlugin) -> None:
    def register_filters(register: Callable[..., None], settings: Any) -> None:
        register(NamedFilter("half", 0))
        raise KeyError("oops")

    plugins = Plugins.load(
        points=[plugin("bad", register_filters), plugin("good", filter_hook(NamedFilter("f", 0)))]
    )

    assert [one.name for one in plugins.filters("the settings")] == ["f"]
    assert_broken(plugins, "bad", "KeyError: 'oops'")


@pytest.mark.parametrize(
    "wrong", ["a string", NamedFilter("f", "first"), object()], ids=["str", "order", "none"]
)
def test_what_is_no_filter_is_reported(plugin: MakePlugin, wrong: object) -> None:
    plugins = Plugins.load(
        points=[plugin("bad", filter_hook(wrong)), plugin("good", filter_hook(NamedFilter("f", 0)))]
    )

    assert [one.name for one in plugins.filters("the settings")] == ["f"]
    assert report_of(plugins, "bad").state == "broken"


def test_the_installed_plugins_all_load() -> None:
    plugins = Plugins.load()

    assert [report.error for report in plugins.reports if report.state == "broken"] == []
    assert {"builtin", "transformer", "web"} <= {report.name for report in plugins.reports}
