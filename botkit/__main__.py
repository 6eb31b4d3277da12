"""``python -m botkit`` is ``botkit``."""

from botkit.cli.main import main

main()
