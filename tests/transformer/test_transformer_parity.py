"""Our models compute what transformers computes, whole, in chunks and token by token."""

from __future__ import annotations

import pytest
import torch
from transformer_families import FAMILIES, SlotState, load

LENGTH = 75  # more than one bucket of keys, and beyond every sliding window


def tokens_of(seed: int, n: int = LENGTH, vocab_size: int = 97) -> list[int]:
    return torch.randint(vocab_size, (n,), generator=torch.Generator().manual_seed(seed)).tolist()


def reference_logits(reference, tokens: list[int]) -> torch.Tensor:
    with torch.no_grad():
        return reference(torch.tensor([tokens])).logits[0].float()


@pytest.mark.parametrize("name", FAMILIES)
def test_logits_agree_with_transformers_however_the_tokens_are_cut(name, family) -> None:
    reference, folder = family(name)
    model, tokens = load(folder), tokens_of(1)
    wanted = reference_logits(reference, tokens)
    assert wanted.std() > 0.1

    cuts = {"whole": [LENGTH], "chunks": [30, 1, 33, 11], "single": [1] * LENGTH}
    for cut in cuts.values():
        state, got, start = SlotState.of(model, 2, 128), [], 0
        for size in cut:
            got += state.feed(model, {1: tokens[start : start + size]})
            start += size
        assert (torch.cat(got) - wanted).abs().max() < 1e-3


@pytest.mark.parametrize("name", ["llama", "qwen3", "mistral-window", "gpt2"])
@pytest.mark.parametrize("slots", [(0, 1, 2), (3, 0, 2)], ids=["contiguous", "scattered"])
def test_rows_of_a_batch_do_not_see_one_another_nor_the_padding(name, slots, family) -> None:
    reference, folder = family(name)
    model = load(folder)
    state = SlotState.of(model, 4, 200)
    texts = {slot: tokens_of(slot, n) for slot, n in zip(slots, (70, 9, 41), strict=True)}
    got: dict[int, list[torch.Tensor]] = {slot: [] for slot in slots}
    starts = dict.fromkeys(slots, 0)
    for sizes in [(20, 3, 1), (1, 1, 1), (1, 4, 30), (48, 1, 9)]:
        rows = {
            slot: texts[slot][starts[slot] : starts[slot] + n] for slot, n in zip(slots, sizes, strict=True)
        }
        for slot, logits in zip(rows, state.feed(model, rows), strict=True):
            got[slot].append(logits)
            starts[slot] += len(rows[slot])

    for slot in slots:
        wanted = reference_logits(reference, texts[slot])
        assert (torch.cat(got[slot]) - wanted).abs().max() < 1e-3


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_the_last_real_position_alone_is_what_every_position_says_there(name, family) -> None:
    _, folder = family(name)
    model = load(folder)
    rows = {0: tokens_of(1, 12), 1: tokens_of(2, 5), 2: tokens_of(3, 1)}

    every = SlotState.of(model, 3, 64).feed(model, rows)
    last = SlotState.of(model, 3, 64).feed(model, rows, every_position=False)

    for row, logits in zip(every, last, strict=True):
        assert torch.allclose(row[-1], logits, atol=1e-5)


def test_slots_outside_the_batch_and_places_beyond_the_rows_stay_untouched(family) -> None:
    _, folder = family("llama")
    model = load(folder)
    state = SlotState.of(model, 4, 64)

    state.feed(model, {1: tokens_of(1, 6), 2: tokens_of(2, 2)})

    for tensor in state.tensors.values():
        assert (tensor[[0, 3]] == 7.0).all()
        assert (tensor[1, :, :, 6:] == 7.0).all()
        assert (tensor[2, :, :, 2:] == 7.0).all()


@pytest.mark.parametrize("name", ["llama", "qwen3", "gpt2"])
def test_bfloat16_stays_near_float32(name, family) -> None:
    _, folder = family(name)
    tokens = tokens_of(4)
    exact, rough = load(folder), load(folder, torch.bfloat16)
    (wanted,) = SlotState.of(exact, 1, 128).feed(exact, {0: tokens})
    (got,) = SlotState.of(rough, 1, 128).feed(rough, {0: tokens})

    agreement = (wanted.argmax(-1) == got.argmax(-1)).float().mean()
    assert agreement > 0.8
    assert (wanted - got).abs().mean() < 0.1 * wanted.std()


def test_a_full_slot_is_filled_to_its_last_place(family) -> None:
    reference, folder = family("llama")
    model, tokens = load(folder), tokens_of(1, 70)
    state = SlotState.of(model, 1, 70)

    state.feed(model, {0: tokens[:69]})
    (got,) = state.feed(model, {0: tokens[69:]})

    assert (got[0] - reference_logits(reference, tokens)[-1]).abs().max() < 1e-3
