"""A chat template is a stranger's program: it gets Hugging Face's environment, and a budget."""

from __future__ import annotations

import pytest

from botkit.engine.chat_template import ChatTemplate, TemplateRefusalError
from botkit.errors import ModelError

HELLO = [{"role": "user", "content": "hello"}]


def render(source: str, content: str = "hello") -> str:
    template = ChatTemplate(source, origin="a-model")
    return template.render([{"role": "user", "content": content}], {"bos_token": "<s>", "eos_token": "</s>"})


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{{ bos_token }}{% for m in messages %}\n  {% if true %}\nx\n  {% endif %}\n{% endfor %}", "<s>x\n"),
        ("{% for i in range(9) %}{% if i == 2 %}{% break %}{% endif %}{{ i }}{% endfor %}", "01"),
        ("{% generation %}{{ messages[0].content }}{% endgeneration %}", "hello"),
        ("{{ messages | tojson }}", '[{"role": "user", "content": "hello"}]'),
        ("{{ {'a': '<é>'} | tojson(indent=2) }}", '{\n  "a": "<é>"\n}'),
        ("{{ strftime_now('%Y') | length }}", "4"),
        ("{{ unknown }}{{ tools }}{{ documents is none }}{{ pad_token is defined }}", "NoneTrueFalse"),
        (
            "{% set n = namespace(i=1) %}{% for k in [1, 2] %}{% set n.i = n.i + k %}{% endfor %}{{ n.i }}",
            "4",
        ),
        ("{% macro f(x) %}[{{ x }}]{% endmacro %}{{ f(1) ~ f('b') ~ 2 }}", "[1][b]2"),
        ("{{ 'a-b'.split('-')[-1] }}{{ 'x' * 3 }}{{ 7 % 4 }}{{ '%s!' % 'y' }}{{ 2 ** 3 }}", "bxxx3y!8"),
        ("{% for m in messages if m.role == 'user' %}{{ loop.index0 }}{{ loop.last }}{% endfor %}", "0True"),
        ("{{ messages | map(attribute='content') | join('|') | upper | replace('L', 'l') }}", "HEllO"),
        ("{{ messages[0]['content'] is string and messages[0].content.startswith('he') }}", "True"),
        ("{{ messages | selectattr('role', 'equalto', 'user') | list | length }}", "1"),
        ("{% set x %}a{{ bos_token }}{% endset %}{{ x }}{{ x | trim | title | default('d') }}", "a<s>A<S>"),
    ],
)
def test_the_environment_is_that_of_hugging_face(source: str, expected: str) -> None:
    assert render(source) == expected


@pytest.mark.parametrize(
    "source",
    [
        "{{ messages.__class__.__mro__[1].__subclasses__() }}",
        "{{ ''.__class__ }}{{ cycler.__init__.__globals__.os.system('id') }}",
        "{{ raise_exception.__globals__ }}{{ raise_exception.__globals__['json'] }}",
        "{{ messages.append(1) }}",
        "{% include 'file' %}",
        "{{ unknown.attribute }}",
        "{{ 1 / 0 }}",
        "{{ 'a' + 1 }}",
        "{{ range(10 ** 9) }}",
        "{{ messages[0].content.encode('utf-8', 'x').y.z }}",
    ],
)
def test_reaching_out_and_breaking_is_one_line(source: str) -> None:
    with pytest.raises(ModelError, match="chat template of a-model") as caught:
        render(source)

    assert "\n" not in caught.value.line()


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "source",
    [
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{% for a in range(99999) %}{% for b in range(99999) if a == -1 %}{% endfor %}{% endfor %}",
        "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        "{% for a in range(99999) %}{{ 'x' * 99999 }}{% endfor %}",
        "{{ 'x' * 10 ** 12 }}",
        "{{ 10 ** 10 ** 10 }}",
        "{% set x = 'x' * 999 %}" + "{% set x = x ~ x %}" * 60 + "{{ x }}",
        "{% set x = 'x' * 999 %}" + "{% set x = x + x %}" * 60 + "{{ x }}",
        "{% set x = 'x' * 999 %}" + "{% set x %}{{ x }}{{ x }}{% endset %}" * 60 + "{{ x }}",
        "{% set x = ['x'] %}" + "{% set x = [x, x] %}" * 60 + "{{ x }}",
        "{% set x = ['x'] %}" + "{% set x = [x, x] %}" * 60 + "{{ x | tojson }}",
        "{{ 'x' | center(10 ** 12) }}",
        "{{ 'x'.ljust(10 ** 12) }}",
        "{{ ('x' * 10 ** 6).replace('', 'y' * 10 ** 6) }}",
        "{{ ('x' * 10 ** 6).replace('x', 'y' * 10 ** 6) }}",
        "{{ '%1000000000d' % 1 }}",
        "{{ '%*d' % (10 ** 9, 1) }}",
        "{{ '{:>1000000000}'.format(1) }}",
        "{{ '%1000000000d' | format(1) }}",
        "{{ strftime_now('%1000000000d') }}",
        "{{ range(99999) | select('in', range(99999) | list) | list }}",
        "{{ range(99999) | map('string') | map('center', 9999) | join }}",
        "{{ (1, 2) | join('x' * 10 ** 9) }}",
    ],
)
def test_a_template_that_takes_too_much_is_stopped(source: str) -> None:
    with pytest.raises(ModelError, match="chat template of a-model") as caught:
        render(source)

    assert "\n" not in caught.value.line()


def test_the_budget_is_each_renderings_own() -> None:
    template = ChatTemplate("{% for i in range(30000) %}{% endfor %}ok", origin="a-model")

    assert [template.render(HELLO, {}) for _ in range(15)] == ["ok"] * 15


def test_a_long_text_is_no_overrun() -> None:
    assert render("{{ messages[0].content | trim }}", "x" * 2**20) == "x" * 2**20


def test_a_template_that_refuses_says_why() -> None:
    with pytest.raises(TemplateRefusalError, match="refuses: roles must alternate"):
        render("{{ raise_exception('roles must alternate') }}")


@pytest.mark.parametrize("source", ["{% for %}", "{{", "{% endfor %}", "x" * 300_000, "{{ x | nofilter }}"])
def test_what_is_no_template_is_one_line(source: str) -> None:
    with pytest.raises(ModelError, match="chat template of a-model") as caught:
        ChatTemplate(source, origin="a-model")

    assert "\n" not in caught.value.line()
