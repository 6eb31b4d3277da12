"""Text to token ids and back, and a conversation to a prompt, with the model's own tokenizer and template.

What people write never becomes a special token.  Before a template sees a text, each place where it could be
taken for a special token, or become one together with its neighbours, gets a mark that no text contains;
special tokens are then looked for in the rendered prompt, and the marks are undone in what lies between.
A text without such places reaches template and tokenizer untouched, so its ids are Hugging Face's.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tokenizers import Tokenizer

from botkit.engine.chat_template import FALLBACK, MAX_SOURCE_CHARACTERS, ChatTemplate, TemplateRefusalError
from botkit.engine.checkpoint import read_json_object
from botkit.engine.special_tokens import MARK, AddedToken, TokenGuard, added_tokens
from botkit.errors import ModelError
from botkit.types import PromptTurn

TOKENIZER = "tokenizer.json"
TOKENIZER_CONFIG = "tokenizer_config.json"
CHAT_TEMPLATE = "chat_template.jinja"
MAX_TOKENIZER_BYTES = 2**28
STOP_TOKENS = (
    "<|im_end|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "<end_of_turn>",
    "<|end|>",
    "</s>",
)
"""Ends of turns and texts in the families we know: they count where a tokenizer has them as special."""

_SPECIAL_NAMES = ("bos_token", "eos_token", "unk_token", "pad_token")


class TextCodec:
    """A model's tokenizer with its chat template.  Not thread-safe; holds no open file."""

    def __init__(
        self, tokenizer: bytes, config: Mapping[str, Any], stop_ids: Iterable[int], origin: str
    ) -> None:
        """Build from the contents of tokenizer.json, tokenizer_config.json and the known *stop_ids*.

        *config* holds the chat template as ``chat_template``; *origin* names the model in errors.
        """
        spec = _parsed(tokenizer, origin)
        self.tokenizer = _built(spec, origin)
        self.vocab_size: int = self.tokenizer.get_vocab_size(with_added_tokens=True)
        added = added_tokens(spec)
        names = {name: _token_text(config.get(name)) for name in _SPECIAL_NAMES}
        self._special = {name: text for name, text in names.items() if text}
        source = _template_source(config)
        self._template = ChatTemplate(source if source is not None else FALLBACK, origin=origin)
        self.stop_texts: tuple[str, ...] = () if source is not None else ("\nuser:",)
        """Where a reply ends without a special token: only models without a template need it."""
        specials = {token.text: token.id for token in added if token.special}
        known = {specials[text] for text in (*STOP_TOKENS, names["eos_token"]) if text in specials}
        self.stop_ids = frozenset({i for i in stop_ids if 0 <= i < self.vocab_size} | known)
        self._guard = TokenGuard(added, source or "", self.stop_ids, names["unk_token"])
        self._plain = _Plain(spec, self._guard, origin)
        self._prefix = _text_prefix(self.tokenizer, config, self._special.get("bos_token"))
        self._prompt_prefix = [] if source is not None else self._prefix

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read the tokenizer files of a model's *folder*; ModelError with one line for what is off."""
        folder = Path(folder)
        path = folder / TOKENIZER
        try:
            too_long = path.stat().st_size > MAX_TOKENIZER_BYTES
            raw = b"" if too_long else path.read_bytes()
        except FileNotFoundError:
            hint = "the model cannot read text without it; remove the model and pull it again"
            raise ModelError(f"{path} is missing", hint=hint) from None
        except OSError as error:
            raise ModelError(f"{path} cannot be read: {error.strerror or error}") from error
        if too_long:
            raise ModelError(f"{path} is longer than {MAX_TOKENIZER_BYTES:,} bytes")
        config = _optional_object(folder / TOKENIZER_CONFIG)
        template = folder / CHAT_TEMPLATE
        if template.is_file():
            config["chat_template"] = _read_template(template)
        ends = [_optional_object(folder / name) for name in ("generation_config.json", "config.json")]
        stop_ids = [i for found in ends for i in _ids(found.get("eos_token_id"))]
        return cls(raw, config, stop_ids, str(folder))

    def encode_chat(self, turns: Sequence[PromptTurn]) -> list[int]:
        """Return the ids of the prompt for *turns*, ready for the assistant's next words.

        The model's own chat template decides what stands around the texts; a model without one gets

            the system's words, an empty line
            user: text
            assistant: text
            assistant:

        A template that refuses the order of turns (two of one role in a row, a system turn) is asked again
        with the system's words put in front of the first user turn and neighbours of one role joined.
        Unpaired surrogates become U+FFFD.  Raises ModelError where the template fails.
        """
        cleaned = [PromptTurn(turn.role, _clean(turn.text)) for turn in turns]
        try:
            rendered = self._render(cleaned)
        except TemplateRefusalError:
            rendered = self._render(_alternating(cleaned))
        return [*self._prompt_prefix, *self._encode_rendered(rendered)]

    def encode_text(self, text: str) -> list[int]:
        """Return the ids of a raw *text*: nothing in it is special; begins with BOS if the model wants it."""
        return [*self._prefix, *self._plain.encode(_clean(text), first=True)]

    def token_text(self, token: int) -> str:
        """Return what *token* reads as on its own, special tokens by name; "" for an id there is not."""
        piece = self.tokenizer.id_to_token(token) if 0 <= token < 2**32 else None
        if piece is None:
            return ""
        text: str = self.tokenizer.decode([token], skip_special_tokens=False)
        if "▁" not in piece:
            return text
        # SentencePiece decoders drop spaces at the beginning of a text, so look at the token's second time.
        twice: str = self.tokenizer.decode([token, token], skip_special_tokens=False)
        return twice[len(text) :]

    def _render(self, turns: Sequence[PromptTurn]) -> str:
        messages = [
            {"role": turn.role, "content": self._guard.mark(turn.text, own=turn.role == "assistant")}
            for turn in turns
        ]
        return self._template.render(messages, self._special)

    def _encode_rendered(self, rendered: str) -> list[int]:
        pieces = self._guard.split(rendered)
        expected = [piece.id for piece in pieces if isinstance(piece, AddedToken)]
        if MARK not in rendered:
            ids: list[int] = self.tokenizer.encode(rendered, add_special_tokens=False).ids
            if [i for i in ids if i in self._guard.ids] == expected:
                return ids
        ids = []
        for at, piece in enumerate(pieces):
            if isinstance(piece, AddedToken):
                ids.append(piece.id)
            else:
                ids += self._plain.encode(self._guard.unmark(piece), first=at == 0)
        return ids


class _Plain:
    """Encodes text in which nothing is special, whatever it looks like."""

    def __init__(self, spec: dict[str, Any], guard: TokenGuard, origin: str) -> None:
        self._guard = guard
        for token in spec.get("added_tokens") or ():
            token["special"] = token["special"] or token["id"] in guard.ids
        self._first = _built(spec, origin)
        self._later = self._first
        # Such a pre-tokenizer puts a space before a prompt, but not before what follows a special token.
        if _replace_value(spec.get("pre_tokenizer"), "prepend_scheme", "first", "never"):
            self._later = _built(spec, origin)
        self._first.encode_special_tokens = self._later.encode_special_tokens = True

    def encode(self, text: str, *, first: bool) -> list[int]:
        """Return the ids of *text*; *first*: nothing stands before it in the prompt."""
        ids = self._ids(text, first)
        if self._guard.ids.isdisjoint(ids):
            return ids
        # Some vocabularies hold special tokens among their words, too, and find them there.
        pieces = self._guard.cut(text)
        ids = [i for n, piece in enumerate(pieces) for i in self._ids(piece, first and n == 0)]
        return [i for i in ids if i not in self._guard.ids]

    def _ids(self, text: str, first: bool) -> list[int]:
        if not text:
            return []
        ids: list[int] = (self._first if first else self._later).encode(text, add_special_tokens=False).ids
        return ids


class _TokenizerFaults:
    """Translates what the tokenizers library raises, which is Exception itself and no class of its own."""

    def __init__(self, origin: str) -> None:
        self._origin = origin

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None and (kind is Exception or kind.__name__ == "PanicException"):
            raise ModelError(
                f"{TOKENIZER} of {self._origin} is corrupt: {str(error)[:160]}",
                hint="remove the model and pull it again",
            ) from error


def _parsed(tokenizer: bytes, origin: str) -> dict[str, Any]:
    try:
        spec = json.loads(tokenizer)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{TOKENIZER} of {origin} is corrupt: {str(error)[:120]}") from error
    added = spec.get("added_tokens") if isinstance(spec, dict) else 0
    if not isinstance(added, list | None) or not all(_is_added(token) for token in added or ()):
        raise ModelError(f"{TOKENIZER} of {origin} is corrupt: its added tokens cannot be read")
    return dict(spec)


def _is_added(token: object) -> bool:
    return (
        isinstance(token, dict)
        and type(token.get("id")) is int
        and isinstance(token.get("content"), str)
        and isinstance(token.get("special"), bool)
    )


def _built(spec: Mapping[str, Any], origin: str) -> Tokenizer:
    with _TokenizerFaults(origin):
        tokenizer = Tokenizer.from_str(json.dumps(spec))
        tokenizer.no_truncation()
        tokenizer.no_padding()
        return tokenizer


def _replace_value(spec: Any, key: str, old: str, new: str) -> bool:
    """Replace ``key: old`` anywhere in a JSON value; tell whether there was any."""
    if isinstance(spec, list):
        return sum(_replace_value(item, key, old, new) for item in spec) > 0
    if not isinstance(spec, dict):
        return False
    found = spec.get(key) == old
    if found:
        spec[key] = new
    return sum(_replace_value(item, key, old, new) for item in spec.values()) > 0 or found


def _token_text(value: object) -> str | None:
    text = value.get("content") if isinstance(value, dict) else value
    return text if isinstance(text, str) else None


def _template_source(config: Mapping[str, Any]) -> str | None:
    """Return the template of tokenizer_config.json: a text, or the one named default of several."""
    found = config.get("chat_template")
    if isinstance(found, list):
        named = {item.get("name"): item.get("template") for item in found if isinstance(item, dict)}
        found = named.get("default")
    return found if isinstance(found, str) and found.strip() else None


def _read_template(path: Path) -> str:
    try:
        with path.open(encoding="utf-8") as file:
            return file.read(MAX_SOURCE_CHARACTERS + 1)
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read: {error}") from error


def _optional_object(path: Path) -> dict[str, Any]:
    return read_json_object(path) if path.exists() else {}


def _ids(value: object) -> list[int]:
    values = value if isinstance(value, list) else [value]
    return [item for item in values if type(item) is int]


def _text_prefix(tokenizer: Tokenizer, config: Mapping[str, Any], bos: str | None) -> list[int]:
    token = tokenizer.token_to_id(bos) if bos else None
    wanted = config.get("add_bos_token")
    if not isinstance(wanted, bool):
        wanted = tokenizer.encode("", add_special_tokens=True).ids[:1] == [token]
    return [token] if wanted and token is not None else []


def _clean(text: str) -> str:
    """Return *text* without unpaired surrogates and without the mark."""
    if not text.isascii():
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text.replace(MARK, "\ufffd")


def _alternating(turns: Sequence[PromptTurn]) -> list[PromptTurn]:
    """Return *turns* as user, assistant, user ...: the system's words become part of the first user turn."""
    system = [turn.text for turn in turns if turn.role == "system"]
    joined: list[PromptTurn] = [PromptTurn("user", "\n\n".join(system))] if system else []
    for turn in turns:
        if turn.role == "system" or (turn.role == "assistant" and not joined):
            continue
        if joined and joined[-1].role == turn.role:
            joined[-1] = PromptTurn(turn.role, f"{joined[-1].text}\n\n{turn.text}")
        else:
            joined.append(turn)
    return joined
