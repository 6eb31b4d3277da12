"""Chat templates: programs in Jinja that come with a model, so they are run like a stranger's code.

They run in Jinja's immutable sandbox with the environment that Hugging Face gives them (trim_blocks,
lstrip_blocks, break and continue, ``raise_exception``, ``strftime_now``, ``tojson``).  The sandbox forbids
reaching out; what is added here bounds time and space: each loop, macro, call, filter and output spends
from a budget.  Which words become special tokens is decided in ``codec``.
"""

from __future__ import annotations

import functools
import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from jinja2 import TemplateError, Undefined, nodes
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension
from jinja2.runtime import Context, str_join
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

from botkit.errors import ModelError

MAX_SOURCE_CHARACTERS = 2**18
MAX_RENDERED_CHARACTERS = 2**23
MAX_STEPS = 2**18
MAX_CPU_S = 2.0
MAX_PRODUCT = 2**28
"""The most that the sizes of a filter's or method's arguments may come to when multiplied."""

FALLBACK = (
    "{% for message in messages %}"
    "{% if message['role'] == 'system' %}{{ message['content'] }}\n\n"
    "{% else %}{{ message['role'] }}: {{ message['content'] }}\n{% endif %}"
    "{% endfor %}assistant:"
)
"""For models without a template: ``user: text``, a line a turn, the system's words in front of them."""

# What code that Jinja generated can raise when a template is wrong; nothing of ours runs inside.
_FAULTS = (
    TemplateError,
    TypeError,
    ValueError,
    ArithmeticError,
    LookupError,
    AttributeError,
    RecursionError,
    MemoryError,
    SyntaxError,
    AssertionError,
)
_WIDE_FORMAT = re.compile(r"\d{4,}|\*|\{[^}]*\{")


class TemplateRefusalError(ModelError):
    """The template itself called ``raise_exception``: it does not take turns in this order."""


class ChatTemplate:
    """A compiled template.  Not thread-safe: one rendering at a time."""

    def __init__(self, source: str, *, origin: str) -> None:
        """Compile *source*; *origin* names it in errors.  Raises ModelError for what is no template."""
        self._origin = origin
        if len(source) > MAX_SOURCE_CHARACTERS:
            raise self._error(f"is longer than {MAX_SOURCE_CHARACTERS:,} characters")
        self._environment = _Environment()
        try:
            tree = _Metering(self._environment).visit(self._environment.parse(source))
            self._template = self._environment.from_string(tree)
        except _FAULTS as error:
            raise self._error(f"cannot be compiled: {_told(error)}") from error

    def render(self, messages: Sequence[Mapping[str, str]], special: Mapping[str, str]) -> str:
        """Return the prompt for *messages* (``role``, ``content``), open for the assistant's next words.

        *special* holds ``bos_token``, ``eos_token`` and their like.  Raises TemplateRefusalError where the
        template refuses the order of turns, else ModelError where it fails or takes or says too much.
        """
        self._environment.refill()
        values = {"messages": [dict(message) for message in messages], "tools": None, "documents": None}
        try:
            return self._template.render(add_generation_prompt=True, **special, **values)
        except _RaisedError as error:
            message = f"the chat template of {self._origin} refuses: {_told(error)}"
            raise TemplateRefusalError(message, hint="pick another model for such conversations") from error
        except _FAULTS as error:
            raise self._error(f"fails: {_told(error)}") from error

    def _error(self, fault: str) -> ModelError:
        return ModelError(
            f"the chat template of {self._origin} {fault}",
            hint="it is in chat_template.jinja or tokenizer_config.json of the model's folder",
        )


class _RaisedError(TemplateError):
    """What ``raise_exception`` raises."""


class _OverrunError(SecurityError):
    """The budget of one rendering is spent."""


def _told(error: BaseException) -> str:
    return (str(error) or type(error).__name__)[:200]


class _Generation(Extension):
    """``{% generation %}``, by which training marks the assistant's words; rendering shows its body."""

    tags = {"generation"}  # noqa: RUF012 - Jinja declares it so

    def parse(self, parser: Any) -> nodes.Node | list[nodes.Node]:
        """Return the body as it is."""
        next(parser.stream)
        body: list[nodes.Node] = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return body


class _Metering(NodeTransformer):
    """Rewrites a template so that loops, macros, joins and outputs spend from the environment's budget.

    It calls attributes of the environment, because names could be set to something else by a template.
    """

    def __init__(self, environment: _Environment) -> None:
        self._environment = environment

    def _call(self, method: str, *arguments: nodes.Expr) -> nodes.Call:
        target = nodes.EnvironmentAttribute(method)
        return nodes.Call(target, list(arguments), [], None, None, environment=self._environment)

    def visit(self, node: nodes.Node, *args: Any, **kwargs: Any) -> Any:
        """Return what stands for *node* in the metered template."""
        self.generic_visit(node)
        if isinstance(node, (nodes.For, nodes.Macro, nodes.CallBlock)):
            node.body.insert(0, nodes.ExprStmt(self._call("step")))
        if isinstance(node, nodes.For) and node.test is not None:
            node.test = nodes.And(self._call("step"), node.test)
        if isinstance(node, nodes.Output):
            node.nodes = [
                n if isinstance(n, nodes.TemplateData) else self._call("shown", n) for n in node.nodes
            ]
        return self._call("joined", *node.nodes) if isinstance(node, nodes.Concat) else node


class _Environment(ImmutableSandboxedEnvironment):
    """The sandbox with Hugging Face's additions and a budget of steps, CPU time and characters."""

    intercepted_binops = frozenset(["+", "*", "**", "%"])

    def __init__(self) -> None:
        extensions = ["jinja2.ext.loopcontrols", _Generation]
        super().__init__(trim_blocks=True, lstrip_blocks=True, extensions=extensions)
        self.filters["tojson"] = _tojson
        tables: tuple[Any, ...] = (self.filters, self.tests)
        for functions in tables:
            functions.update({name: self._metered(function) for name, function in functions.items()})
        self.globals.pop("lipsum", None)
        self.globals.update(raise_exception=_raise_exception, strftime_now=_strftime_now)
        self.refill()

    def refill(self) -> None:
        """Begin a rendering with a full budget."""
        self._steps = 0
        self._characters = 0
        self._stop_at = time.thread_time() + MAX_CPU_S

    def step(self) -> bool:
        """Spend one step; true, so that it may stand in a condition."""
        self._steps += 1
        if self._steps > MAX_STEPS or time.thread_time() > self._stop_at:
            raise _OverrunError("it takes too long")
        return True

    def shown(self, value: Any) -> Any:
        """Pass on a value that is about to be shown, and count its characters."""
        self._characters += self._size(value)
        if self._characters > MAX_RENDERED_CHARACTERS:
            raise _OverrunError(f"it says more than {MAX_RENDERED_CHARACTERS:,} characters")
        return value

    def joined(self, *values: Any) -> str:
        """Return what ``~`` makes of *values*."""
        _limit(sum(map(self._size, values)), MAX_RENDERED_CHARACTERS)
        return str_join(values)

    def call(self, context: Context, function: Any, *args: Any, **kwargs: Any) -> Any:
        """Call *function* for the template, unless it could make something huge."""
        self.step()
        owner, name = getattr(function, "__self__", None), getattr(function, "__name__", "")
        if isinstance(owner, str):
            self._check_growth(name, (owner, *args), kwargs)
        return super().call(context, function, *args, **kwargs)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Compute an arithmetic expression, unless it could make something huge."""
        self.step()
        if operator == "+":
            _limit(_length(left) + _length(right), MAX_RENDERED_CHARACTERS)
        elif operator == "%" and isinstance(left, str):
            _check_format(left)
        elif operator == "*":
            _limit(_factor(left) * _factor(right), MAX_PRODUCT)
        elif operator == "**":
            _limit(_factor(left), 2**20)
            _limit(_factor(right), 64)
        return super().call_binop(context, operator, left, right)

    def _metered(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def metered(*args: Any, **kwargs: Any) -> Any:
            self.step()
            # Some filters get their context or environment first; the template's own values come after.
            own = args[1:] if hasattr(function, "jinja_pass_arg") else args
            self._check_growth(function.__name__.removeprefix("do_"), own, kwargs)
            return function(*args, **kwargs)

        return metered

    def _check_growth(self, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        if name in ("format", "format_map") and args:
            _check_format(str(args[0]))
        if name in ("tojson", "string", "pprint", "join") and args:
            _limit(self._size(args[0]), MAX_RENDERED_CHARACTERS)
        product = max(1, _length(args[0])) if args else 1
        for value in (*args[1:], *kwargs.values()):
            product *= _factor(value)
        _limit(product, MAX_PRODUCT)

    def _size(self, value: Any) -> int:
        """Return about how many characters *value* shows as; nested lists cost a step an item."""
        if isinstance(value, str):
            return len(value)
        if isinstance(value, Undefined) or value is None:
            return 0
        if isinstance(value, Mapping):
            return sum(self._size(item) for pair in value.items() if self.step() for item in pair)
        if isinstance(value, (list, tuple)):
            return sum(self._size(item) for item in value if self.step())
        return 24


def _length(value: Any) -> int:
    return len(value) if isinstance(value, (str, list, tuple, dict)) else 0


def _factor(value: Any) -> int:
    """Return how many times as large something may get by *value*: its length, or the number it is."""
    return max(1, abs(int(value)) if isinstance(value, (int, float)) else _length(value))


def _limit(size: int, most: int) -> None:
    if size > most:
        raise _OverrunError("it makes something too large")


def _check_format(text: str) -> None:
    if _WIDE_FORMAT.search(text):
        raise _OverrunError("it formats something too wide")


def _tojson(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """Return JSON as Hugging Face's templates expect it: Jinja's own filter escapes HTML."""
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )


_tojson.__name__ = "tojson"


def _raise_exception(message: str) -> None:
    raise _RaisedError(message)


def _strftime_now(form: str) -> str:
    _check_format(form)
    return datetime.now().astimezone().strftime(form)
