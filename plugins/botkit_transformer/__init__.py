"""Decoder-only Transformers (Llama family, GPT-2) for the engine."""
