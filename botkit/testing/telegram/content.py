"""Texts, entities and buttons of a call, held to the platform's rules."""

from __future__ import annotations

import re
from typing import Any

from botkit.testing.telegram.formatting import parse_html, parse_markdown_v2
from botkit.testing.telegram.params import Params
from botkit.testing.telegram.refusal import bad_request
from botkit.testing.telegram.world import Json

MAX_TEXT_UNITS = 4096
MAX_CAPTION_UNITS = 1024
MAX_ENTITIES = 100
MAX_BUTTON_DATA_BYTES = 64
MAX_BUTTONS = 100

_COMMAND = re.compile(r"(?<![\w/])/[A-Za-z0-9_]{1,32}(@\w+)?")
_MENTION = re.compile(r"(?<!\w)@[A-Za-z]\w{2,31}")
_LINK = re.compile(r"https?://[^\s]+")
_ENTITY = {"type": str, "offset": int, "length": int}
_FOUND = {"bot_command": _COMMAND, "mention": _MENTION, "url": _LINK}


def units(text: str) -> int:
    """Return the length of *text* as the platform counts: in UTF-16 units."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def found_entities(text: str) -> tuple[Json, ...]:
    """Return the commands, mentions and links that the platform finds in what a person writes."""
    found = [
        {"type": kind, "offset": units(text[: match.start()]), "length": units(match[0])}
        for kind, pattern in _FOUND.items()
        for match in pattern.finditer(text)
    ]
    return tuple(sorted(found, key=lambda entity: entity["offset"]))


def marked_text(
    params: Params, name: str = "text", entities_name: str = "entities"
) -> tuple[str, tuple[Json, ...]]:
    """Return the text of a call and its entities, trimmed; raises Refused for marks that make no sense."""
    text, mode = params.text(name), params.text("parse_mode").lower()
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise bad_request("strings must be encoded in UTF-8")
    entities: list[Json]
    if mode == "html":
        text, entities = parse_html(text)
    elif mode == "markdownv2":
        text, entities = parse_markdown_v2(text)
    elif mode:
        raise bad_request("unsupported parse_mode")
    else:
        entities = params.objects(entities_name, "entities") or []
    return _trimmed(text, _checked(text, entities))


def checked_length(text: str, reason: str, limit: int = MAX_TEXT_UNITS) -> str:
    """Return *text*; raises Refused because of *reason* where it has more than *limit* units."""
    if units(text) > limit:
        raise bad_request(reason)
    return text


def markup(params: Params) -> Json | None:
    """Return the reply markup of a call; raises Refused for buttons that cannot be."""
    found: Json | None = params.data("reply_markup", dict, "reply keyboard markup")
    if not found:
        return None
    rows = found.get("inline_keyboard", [])
    if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
        raise bad_request("can't parse inline keyboard: expected an Array of Array")
    buttons = [button for row in rows for button in row]
    if len(buttons) > MAX_BUTTONS:
        raise bad_request("REPLY_MARKUP_TOO_LONG")
    for button in buttons:
        _check_button(button)
    if "inline_keyboard" in found and not buttons:
        return None
    return found


def _check_button(button: Any) -> None:
    if not isinstance(button, dict):
        raise bad_request("can't parse inline keyboard button: expected an Object")
    if not isinstance(button.get("text"), str) or not button["text"]:
        raise bad_request("can't parse inline keyboard button: Text must be non-empty")
    if len(button.keys() - {"text", "style", "icon_custom_emoji_id"}) != 1:
        raise bad_request(
            "can't parse inline keyboard button: Text buttons are unallowed in the inline keyboard"
        )
    if not 1 <= len(str(button.get("callback_data", "-")).encode()) <= MAX_BUTTON_DATA_BYTES:
        raise bad_request("BUTTON_DATA_INVALID")


def _checked(text: str, entities: list[Json]) -> list[Json]:
    end, edges = units(text), _edges(text)
    for entity in entities:
        if not all(isinstance(entity.get(key), kind) for key, kind in _ENTITY.items()):
            raise bad_request("can't parse MessageEntity")
        first, last = entity["offset"], entity["offset"] + entity["length"]
        if first < 0 or entity["length"] <= 0 or last > end:
            raise bad_request(f"entity beginning at UTF-16 offset {first} ends after the end of the text")
        if first not in edges or last not in edges:
            raise bad_request(
                f"entity beginning at UTF-16 offset {first} ends in a middle of a UTF-16 symbol"
            )
    return entities[:MAX_ENTITIES]


def _edges(text: str) -> set[int]:
    """Return the offsets at which a character of *text* begins, and the end."""
    edges, offset = {0}, 0
    for character in text:
        offset += 2 if ord(character) > 0xFFFF else 1
        edges.add(offset)
    return edges


def _trimmed(text: str, entities: list[Json]) -> tuple[str, tuple[Json, ...]]:
    cut = units(text) - units(text.lstrip())
    text = text.strip()
    end = units(text)
    kept = []
    for entity in entities:
        first = max(0, entity["offset"] - cut)
        length = min(end, entity["offset"] - cut + entity["length"]) - first
        if length > 0:
            kept.append({**entity, "offset": first, "length": length})
    return text, tuple(kept)
