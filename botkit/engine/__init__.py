"""The engine: a model, its conversations side by side, and the process that they run in."""
