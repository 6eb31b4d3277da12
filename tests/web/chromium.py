"""Where the tests get Chromium from: named, installed, Playwright's own, or the system's package manager."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
INSTALL_S = 600


def find_chromium() -> str:
    """Return the path of a Chromium, installing one where that is allowed; else fail in CI, or skip."""
    if given := os.environ.get("BOTKIT_CHROMIUM"):
        if not Path(given).is_file():
            pytest.fail(f"BOTKIT_CHROMIUM is {given}, where there is no file")
        return given
    found = _installed() or _playwrights_own() or _from_packages()
    if found is not None:
        return found
    reason = (
        "NO CHROMIUM: the page was NOT tested. Set BOTKIT_CHROMIUM, install chromium, "
        f"or run '{sys.executable} -m playwright install chromium'."
    )
    if os.environ.get("CI", "").lower() in ("1", "true", "yes"):
        pytest.fail(reason)
    pytest.skip(reason)


def _installed() -> str | None:
    return next((path for name in NAMES if (path := shutil.which(name))), None)


def _playwrights_own() -> str | None:
    """Return the Chromium that Playwright brings, if it was brought."""
    ask = (
        "from playwright.sync_api import sync_playwright\n"
        "with sync_playwright() as p: print(p.chromium.executable_path)"
    )
    done = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=False)
    path = done.stdout.strip()
    return path if path and Path(path).is_file() else None


def _from_packages() -> str | None:
    """Install Chromium with apt, which only root may; return its path, or None if that cannot be."""
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        return None
    print("installing chromium with apt-get for the page tests", file=sys.stderr)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (["update", "-q"], ["install", "-y", "-q", "--no-install-recommends", "chromium"]):
        try:
            done = subprocess.run(
                ["apt-get", *arguments],
                env=environment,
                capture_output=True,
                text=True,
                timeout=INSTALL_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            print(f"apt-get {arguments[0]} took over {INSTALL_S} s", file=sys.stderr)
            return None
        if done.returncode != 0:
            print(f"apt-get {arguments[0]} failed: {done.stderr.strip()[-300:]}", file=sys.stderr)
    return _installed()
