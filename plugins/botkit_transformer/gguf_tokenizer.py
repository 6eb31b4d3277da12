"""From the vocabulary inside a GGUF file to ``tokenizer.json`` and ``tokenizer_config.json``.

Two kinds exist: ``gpt2`` (byte-level BPE with merges; ``tokenizer.ggml.pre`` names how text is cut into
words first) and ``llama`` (sentencepiece BPE, whose merges follow from the tokens' scores).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from botkit.engine.disk import writing
from botkit.errors import ModelError
from botkit_transformer.fields import Fields
from botkit_transformer.gguf_header import GgufHeader

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6
_KEY = "tokenizer.ggml"

_WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+"
_REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_LLAMA3_PATTERN = _WORDS + r"|\p{N}{1,3}" + _REST
_QWEN2_PATTERN = _WORDS + r"|\p{N}" + _REST
_PRE_TOKENIZERS = {
    "default": "gpt2",
    "gpt-2": "gpt2",
    "gpt2": "gpt2",
    "smollm": "digits",
    "llama-bpe": "llama3",
    "llama3": "llama3",
    "llama-v3": "llama3",
    "qwen2": "qwen2",
}
"""The values of ``tokenizer.ggml.pre`` that are understood, and the way of cutting each stands for."""


def write_tokenizer(header: GgufHeader, into: Path, vocab_size: int) -> None:
    """Write the file's tokenizer into *into*; raises ModelError for a broken or unknown one."""
    vocabulary = _Vocabulary(header, vocab_size)
    kind = vocabulary.fields.text(f"{_KEY}.model", "none")
    if kind == "gpt2":
        tokenizer = _byte_level(vocabulary)
    elif kind == "llama":
        tokenizer = _sentencepiece(vocabulary)
    else:
        raise ModelError(
            f"{header.path}: tokenizer '{kind:.40}' is not supported",
            hint="supported are gpt2 and llama; import the Hugging Face folder instead",
        )
    vocabulary.add_special_tokens(tokenizer)
    names = vocabulary.named_tokens()
    begins = vocabulary.fields.flag(f"{_KEY}.add_bos_token", vocabulary.begins_by_default(kind))
    if begins and "bos_token" in names:
        begin = names["bos_token"]
        tokenizer.post_processor = processors.TemplateProcessing(
            single=[begin, "$A"],
            pair=[begin, "$A", "$B"],
            special_tokens=[(begin, vocabulary.ids[begin])],
        )
    template = vocabulary.fields.text("tokenizer.chat_template", "")
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        **names,
        "add_bos_token": begins,
        "clean_up_tokenization_spaces": False,
        **({"chat_template": template} if template else {}),
    }
    text = json.dumps(settings, indent=2, ensure_ascii=False) + "\n"
    with writing(into):
        (into / "tokenizer.json").write_text(tokenizer.to_str(), encoding="utf-8")
        (into / "tokenizer_config.json").write_text(text, encoding="utf-8")


class _Vocabulary:
    """The checked token lists of one file."""

    def __init__(self, header: GgufHeader, vocab_size: int) -> None:
        self.where = str(header.path)
        self.fields = Fields(header.metadata, self.where)
        self.metadata = header.metadata
        self.tokens: list[str] = self.listed("tokens", str)
        if not 0 < len(self.tokens) <= vocab_size:
            raise ModelError(
                f"{self.where}: it holds {len(self.tokens)} tokens, but the model knows {vocab_size}"
            )
        self.ids = {token: number for number, token in enumerate(self.tokens)}
        if len(self.ids) != len(self.tokens):
            raise ModelError(f"{self.where}: a token occurs twice in its vocabulary")
        self.types: list[int] = self.listed("token_type", int, [NORMAL] * len(self.tokens))
        if len(self.types) != len(self.tokens):
            raise ModelError(f"{self.where}: its tokens and their types differ in number")

    def listed(self, key: str, kind: type, default: list[Any] | None = None) -> list[Any]:
        values = self.metadata.get(f"{_KEY}.{key}", default)
        if not isinstance(values, list) or not all(isinstance(value, kind) for value in values):
            raise ModelError(f"{self.where}: '{_KEY}.{key}' is missing or not a list of {kind.__name__}")
        return values

    def named_tokens(self) -> dict[str, str]:
        """Return the tokens with a role, by the names that tokenizer_config.json has for them."""
        named = {}
        for role, key in (("bos", "bos"), ("eos", "eos"), ("unk", "unknown"), ("pad", "padding")):
            if f"{_KEY}.{key}_token_id" not in self.metadata:
                continue
            number = self.fields.integer(f"{_KEY}.{key}_token_id", least=0)
            if number >= len(self.tokens):
                raise self.fields.wrong(f"{_KEY}.{key}_token_id", f"below {len(self.tokens)}")
            named[f"{role}_token"] = self.tokens[number]
        return named

    def begins_by_default(self, kind: str) -> bool:
        """Tell whether a text begins with the bos token where the file does not say."""
        return kind == "llama" or _PRE_TOKENIZERS.get(self.fields.text(f"{_KEY}.pre", "")) == "llama3"

    def add_special_tokens(self, tokenizer: Tokenizer) -> None:
        """Have control tokens recognised in text and left out of it, and user-defined ones recognised."""
        special, plain = [], []
        for token, kind in zip(self.tokens, self.types, strict=True):
            if kind in (CONTROL, UNKNOWN) and token:
                special.append(AddedToken(token, special=True, normalized=False))
            elif kind == USER_DEFINED and token:
                plain.append(AddedToken(token, special=False, normalized=False))
        tokenizer.add_special_tokens(special)
        tokenizer.add_tokens(plain)


def _byte_level(vocabulary: _Vocabulary) -> Tokenizer:
    name = vocabulary.fields.text(f"{_KEY}.pre", "default")
    if name not in _PRE_TOKENIZERS:
        raise ModelError(
            f"{vocabulary.where}: pre-tokenizer '{name:.40}' is not supported",
            hint=f"supported are {', '.join(_PRE_TOKENIZERS)}; import the Hugging Face folder instead",
        )
    way = _PRE_TOKENIZERS[name]
    merges = _merges(vocabulary)
    tokenizer = Tokenizer(
        models.BPE(vocab=vocabulary.ids, merges=merges, fuse_unk=False, ignore_merges=way == "llama3")
    )
    by_regex = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    by_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    if way == "gpt2":
        tokenizer.pre_tokenizer = by_regex
    elif way == "digits":
        digits = pre_tokenizers.Digits(individual_digits=True)
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([digits, by_regex])
    else:
        pattern = Regex(_LLAMA3_PATTERN if way == "llama3" else _QWEN2_PATTERN)
        words = pre_tokenizers.Split(pattern, behavior="isolated", invert=False)
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([words, by_bytes])
    if way == "qwen2":
        tokenizer.normalizer = normalizers.NFC()
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def _merges(vocabulary: _Vocabulary) -> list[tuple[str, str]]:
    """Return the merges as pairs, each of known tokens that make a known token."""
    ids, pairs = vocabulary.ids, []
    for merge in vocabulary.listed("merges", str):
        left, _, right = merge.partition(" ")
        if left not in ids or right not in ids or left + right not in ids:
            raise ModelError(f"{vocabulary.where}: merge {merge!r:.60} is not of known tokens")
        pairs.append((left, right))
    return pairs


def _sentencepiece(vocabulary: _Vocabulary) -> Tokenizer:
    scores: list[float] = vocabulary.listed("scores", float)
    if len(scores) != len(vocabulary.tokens):
        raise ModelError(f"{vocabulary.where}: its tokens and their scores differ in number")
    unknown = next(
        (t for t, k in zip(vocabulary.tokens, vocabulary.types, strict=True) if k == UNKNOWN), None
    )
    tokenizer = Tokenizer(
        models.BPE(
            vocab=vocabulary.ids,
            merges=_merges_by_score(vocabulary.ids, scores, vocabulary.types),
            unk_token=unknown,
            fuse_unk=True,
            byte_fallback=True,
        )
    )
    spaced = normalizers.Replace(" ", "▁")
    ends = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    if vocabulary.fields.flag(f"{_KEY}.add_space_prefix", True):
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), spaced])
        ends.append(decoders.Strip(" ", 1, 0))
    else:
        tokenizer.normalizer = spaced
    tokenizer.decoder = decoders.Sequence(ends)
    return tokenizer


def _merges_by_score(
    ids: Mapping[str, int], scores: Sequence[float], types: Sequence[int]
) -> list[tuple[str, str]]:
    """Return every way to make a normal token of two others, best scored token first.

    Sentencepiece merges the neighbours whose union has the highest score, which is what a list of merges in
    this order does.
    """
    ranked: list[tuple[float, int, int, str, str]] = []
    for token, number in ids.items():
        if types[number] != NORMAL:
            continue
        for cut in range(1, min(len(token), 256)):
            left, right = token[:cut], token[cut:]
            if left in ids and right in ids:
                ranked.append((-scores[number], ids[left], ids[right], left, right))
    ranked.sort()
    return [(left, right) for _, _, _, left, right in ranked]
