"""The peer: `transformers` generate on the same weights, driven over pipes as our own engine is.

Reads one JSON line a task, {"prompts": [...], "n_tokens": N, "batched": bool}, and answers each with one:
{"total_s", "first_token_s": [...], "n_tokens", "rss_mb"}.  Greedy; end-of-text is ignored.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LogitsProcessor, LogitsProcessorList


class FirstToken(LogitsProcessor):
    """Notes when the first logits of a call are there; changes nothing."""

    def __init__(self) -> None:
        self.at: float | None = None

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        if self.at is None:
            self.at = time.perf_counter()
        return scores


def generate(model: Any, tokenizer: Any, prompts: list[str], n_tokens: int) -> float:
    """Generate for all *prompts* in one padded batch; return when the first token was there."""
    chats = [[{"role": "user", "content": prompt}] for prompt in prompts]
    batch = tokenizer.apply_chat_template(
        chats, add_generation_prompt=True, return_tensors="pt", padding=True, return_dict=True
    )
    first = FirstToken()
    model.generate(
        **batch,
        do_sample=False,
        min_new_tokens=n_tokens,
        max_new_tokens=n_tokens,
        logits_processor=LogitsProcessorList([first]),
        pad_token_id=tokenizer.pad_token_id,
    )
    assert first.at is not None
    return first.at


def serve(folder: str, dtype: str, threads: int) -> None:
    """Load the model and work on tasks until the input ends."""
    torch.set_num_threads(threads)
    tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, dtype)).eval()
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        task = json.loads(line)
        groups = [task["prompts"]] if task["batched"] else [[prompt] for prompt in task["prompts"]]
        started = time.perf_counter()
        firsts = [generate(model, tokenizer, group, task["n_tokens"]) - started for group in groups]
        answer = {
            "total_s": time.perf_counter() - started,
            "first_token_s": firsts,
            "n_tokens": task["n_tokens"] * len(task["prompts"]),
            "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2], int(sys.argv[3]))
