"""The web chat and the OpenAI-compatible API."""
