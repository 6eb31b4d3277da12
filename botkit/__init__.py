"""botkit: put a neural text generator of your own live on Discord, Telegram and the web."""

from botkit.hookspecs import hookimpl

__all__ = ["__version__", "hookimpl"]
__version__ = "0.1.0"
