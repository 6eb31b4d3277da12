"""HTML and MarkdownV2 as the platform reads them, with what it says about mistakes."""

from __future__ import annotations

import html
import re

from botkit.testing.telegram.refusal import Refused, bad_request

Entity = dict[str, object]

TAGS = {
    "b": "bold", "strong": "bold", "i": "italic", "em": "italic", "u": "underline", "ins": "underline",
    "s": "strikethrough", "strike": "strikethrough", "del": "strikethrough", "code": "code", "pre": "pre",
    "a": "text_link", "blockquote": "blockquote", "tg-spoiler": "spoiler", "span": "spoiler",
    "tg-emoji": "custom_emoji",
}  # fmt: skip
MARKS = {"*": "bold", "_": "italic", "__": "underline", "~": "strikethrough", "||": "spoiler"}
RESERVED = "_*[]()~`>#+-=|{}.!"

_TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z-]*)((?:\s[^<>]*)?)>")
_TARGET = re.compile(r"\]\(((?:\\.|[^)\\])*)\)", re.DOTALL)
_CHARACTER = re.compile(r"&(lt|gt|amp|quot|#\d{1,7}|#x[0-9a-fA-F]{1,6});")
_ATTRIBUTE = re.compile(r"([a-z-]+)\s*=\s*[\"']([^\"']*)[\"']")


class _Text:
    """A text that grows, with the entities that are open and those that are closed."""

    def __init__(self, source: str) -> None:
        self.source, self.parts = source, [""]
        self.entities: list[Entity] = []
        self.open: list[
            tuple[str, str, int, int, Entity]
        ] = []  # mark, kind, offset, byte in the source, more

    @property
    def units(self) -> int:
        return sum(len(part.encode("utf-16-le", "surrogatepass")) // 2 for part in self.parts)

    def byte(self, position: int) -> int:
        return len(self.source[:position].encode())

    def begin(self, mark: str, kind: str, position: int, **more: object) -> None:
        self.open.append((mark, kind, self.units, self.byte(position), more))

    def end(self, **more: object) -> None:
        _, kind, offset, _, given = self.open.pop()
        if length := self.units - offset:
            self.entities.append({"type": kind, "offset": offset, "length": length, **given, **more})

    def done(self) -> tuple[str, list[Entity]]:
        order = sorted(self.entities, key=lambda e: (e["offset"], -int(str(e["length"]))))
        return "".join(self.parts), order


def _wrong(reason: str) -> Refused:
    return bad_request(f"can't parse entities: {reason}")


def parse_html(source: str) -> tuple[str, list[Entity]]:
    """Return the text of *source* and its entities; raises Refused where the tags are wrong."""
    text, position = _Text(source), 0
    while position < len(source):
        if source[position] != "<":
            end = source.find("<", position)
            end = len(source) if end < 0 else end
            text.parts.append(_CHARACTER.sub(lambda found: html.unescape(found[0]), source[position:end]))
            position = end
            continue
        tag = _TAG.match(source, position)
        if tag is None:
            name = source[position + 1 :].partition(" ")[0]
            raise _wrong(f'Unsupported start tag "{name}" at byte offset {text.byte(position)}')
        if tag[1]:
            _end_tag(text, tag[2].lower(), position)
        else:
            _start_tag(text, tag[2].lower(), tag[3], position)
        position = tag.end()
    if text.open:
        raise _wrong(f'Can\'t find end tag corresponding to start tag "{text.open[-1][0]}"')
    return text.done()


def _start_tag(text: _Text, name: str, attributes: str, position: int) -> None:
    given = dict(_ATTRIBUTE.findall(attributes))
    if name not in TAGS or (name == "span" and given.get("class") != "tg-spoiler"):
        raise _wrong(f'Unsupported start tag "{name}" at byte offset {text.byte(position)}')
    kind, more = TAGS[name], {}
    if name == "a":
        more = {"url": given.get("href", "")}
    elif (
        name == "code"
        and given.get("class", "").startswith("language-")
        and text.open
        and text.open[-1][1] == "pre"
    ):
        text.open[-1][4]["language"] = given["class"].removeprefix("language-")
        kind = "inside_pre"
    text.begin(name, kind, position, **more)


def _end_tag(text: _Text, name: str, position: int) -> None:
    if not text.open:
        raise _wrong(f"Unexpected end tag at byte offset {text.byte(position)}")
    expected = text.open[-1][0]
    if expected != name:
        where = f"Unmatched end tag at byte offset {text.byte(position)}"
        raise _wrong(f'{where}, expected "</{expected}>", found "</{name}>"')
    kind = text.open[-1][1]
    text.end()
    if kind == "inside_pre":
        text.entities = [entity for entity in text.entities if entity["type"] != kind]


def parse_markdown_v2(source: str) -> tuple[str, list[Entity]]:
    """Return the text of *source* and its entities; raises Refused where something is not escaped or open."""
    text, position = _Text(source), 0
    while position < len(source):
        position = _next_mark(text, position)
    if text.open:
        _, kind, _, byte, _ = text.open[-1]
        name = "".join(word.capitalize() for word in kind.split("_"))
        raise _wrong(f"Can't find end of {name} entity at byte offset {byte}")
    return text.done()


def _next_mark(text: _Text, position: int) -> int:
    """Take what stands at *position* of the source into *text*; return the position after it."""
    source, character = text.source, text.source[position]
    if character == "\\" and position + 1 < len(source) and ord(source[position + 1]) < 127:
        text.parts.append(source[position + 1])
        return position + 2
    if character == "`":
        return _code(text, position)
    if character == "[":
        text.begin("[", "text_link", position)
        return position + 1
    if character == "]" and text.open and text.open[-1][0] == "[":
        return _link(text, position)
    if character == ">" and (position == 0 or source[position - 1] == "\n"):
        return position + 1  # a quotation: its text is kept, its mark is not made an entity
    mark = next((m for m in ("||", "__", "*", "_", "~") if source.startswith(m, position)), None)
    if mark is not None:
        if text.open and text.open[-1][0] == mark:
            text.end()
        else:
            text.begin(mark, MARKS[mark], position)
        return position + len(mark)
    if character in RESERVED:
        raise _wrong(f"Character '{character}' is reserved and must be escaped with the preceding '\\'")
    text.parts.append(character)
    return position + 1


def _code(text: _Text, position: int) -> int:
    source = text.source
    mark = "```" if source.startswith("```", position) else "`"
    start = position + len(mark)
    end = start
    while end < len(source) and not source.startswith(mark, end):
        end += 2 if source[end] == "\\" else 1
    if end >= len(source):
        kind = "Pre" if mark == "```" else "Code"
        raise _wrong(f"Can't find end of {kind} entity at byte offset {text.byte(position)}")
    content, more = re.sub(r"\\([\\`])", r"\1", source[start:end]), {}
    if mark == "```" and (language := re.match(r"(\S*)\n", content)):
        content = content[language.end() :]
        more = {"language": language[1]} if language[1] else {}
    text.begin(mark, "pre" if mark == "```" else "code", position, **more)
    text.parts.append(content)
    text.end()
    return end + len(mark)


def _link(text: _Text, position: int) -> int:
    if not text.source.startswith("](", position):
        text.open.pop()  # brackets without an address are not a link
        return position + 1
    target = _TARGET.match(text.source, position)
    if target is None:
        raise _wrong(f"Can't find end of a URL at byte offset {text.byte(position)}")
    text.end(url=re.sub(r"\\(.)", r"\1", target[1]))
    return target.end()
