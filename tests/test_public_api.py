"""What other people's code may rely on."""

from __future__ import annotations

import dataclasses
import inspect
import re

import botkit
import botkit.errors
import botkit.types


def test_the_package_exports_what_it_says() -> None:
    assert botkit.__all__ == ["__version__", "hookimpl"]


def test_the_error_tree_in_the_docstring_is_the_real_one() -> None:
    drawn = re.findall(r"^    [|` -]*(\w+)  ", botkit.errors.__doc__ or "", re.MULTILINE)
    real = [
        name
        for name, member in vars(botkit.errors).items()
        if inspect.isclass(member) and issubclass(member, Exception)
    ]

    assert sorted(drawn) == sorted(real)


def test_every_value_that_travels_is_frozen() -> None:
    values = [m for m in vars(botkit.types).values() if inspect.isclass(m) and dataclasses.is_dataclass(m)]

    assert values
    assert [v.__name__ for v in values if not v.__dataclass_params__.frozen] == []


def test_an_unknown_name_names_the_nearest() -> None:
    error = botkit.errors.UnknownNameError("model", "smolm", ["smollm", "echo"])

    assert error.line() == "unknown model 'smolm' (did you mean 'smollm'?)"
