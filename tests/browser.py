"""A headless Chromium that notes whatever a page complains of or asks the network for."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Page

# WebGL by the processor: no graphics card is needed.
_ARGUMENTS = ["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
_NAMES = ("chromium", "chromium-browser", "google-chrome")


@dataclass
class Opened:
    """A page in the browser.

    Attributes:
        page: Playwright's page.
        complaints: What it wrote to the console, and the errors that it left uncaught.
        requests: Addresses that it asked for, besides its own file and what is inside.
        dialogs: Texts of windows that it popped up.
    """

    page: Page
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)

    def ask(self, script: str) -> Any:
        """The value of an expression in the page."""
        return self.page.evaluate(script)

    def wait_until(self, script: str) -> None:
        """Wait until an expression is true; `Page.wait_for_function` needs an eval, which the page forbids."""
        deadline = time.monotonic() + 120.0
        while not self.ask(script):
            if time.monotonic() > deadline:
                pytest.fail(f"in two minutes it did not come true that {script}")
            time.sleep(0.02)


@contextmanager
def opened(file: Path, *, width: int = 520, height: int = 480, dark: bool = False) -> Iterator[Opened]:
    """Open a file, or skip the test with a reason where there is no Chromium, or no playwright to drive it."""
    driver = pytest.importorskip("playwright.sync_api", reason="playwright, of the extra dev, drives Chromium")
    program = next((found for name in _NAMES if (found := shutil.which(name))), None)
    if program is None:
        pytest.skip(f"none of {', '.join(_NAMES)} is installed")
    with driver.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=_ARGUMENTS)
        scheme = "dark" if dark else "light"
        view = Opened(browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme))
        view.page.on("console", lambda message: view.complaints.append(f"{message.type}: {message.text}"))
        view.page.on("pageerror", lambda error: view.complaints.append(f"uncaught: {error}"))
        view.page.on("dialog", lambda dialog: (view.dialogs.append(dialog.message), dialog.dismiss()))
        view.page.on("request", lambda request: _note(request.url, file, view.requests))
        view.page.set_default_timeout(120_000)
        view.page.goto(file.resolve().as_uri())
        yield view
        browser.close()


def _note(url: str, file: Path, requests: list[str]) -> None:
    if url != file.resolve().as_uri() and not url.startswith(("data:", "blob:")):
        requests.append(url)
