# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""Pages as a person meets them: in Chromium, driven by Playwright. Skipped where one of the two is missing."""

import importlib.util
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

SMALL_STORE = Path(__file__).parents[1] / "unit" / "report" / "conftest.py"
SCRIPT_IN_NAME = '<img src=x onerror="alert(1)"><script>alert(2)</script>'
# Nothing is looked up, updated or sent home; the last three matter in a container that runs as root without a GPU.
FLAGS = (
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-gpu",
    "--no-sandbox",
    "--disable-dev-shm-usage",
)


@dataclass
class Visit:
    """An open page and all that it complained about or asked for."""

    page: Any
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """One Chromium for all tests."""
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    executable = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if executable is None:
        pytest.skip("no Chromium is installed")
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=executable, args=list(FLAGS))
        yield opened
        opened.close()


@pytest.fixture
def visit(browser: Any) -> Iterator[Callable[..., Visit]]:
    """Open a page at a width, light or dark."""
    contexts = []

    def open_page(path: Path, width: int = 1440, height: int = 900, scheme: str = "light") -> Visit:
        context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
        contexts.append(context)
        visited = Visit(context.new_page())
        page = visited.page
        page.on("console", lambda message: visited.errors.append(message.text))
        page.on("pageerror", lambda error: visited.errors.append(str(error)))
        page.on("dialog", lambda dialog: (visited.errors.append(f"dialog {dialog.message}"), dialog.dismiss()))
        page.on("request", lambda request: visited.requests.append(request.url[:200]))
        page.goto(path.as_uri())
        return visited

    yield open_page
    for context in contexts:
        context.close()


@pytest.fixture(scope="session")
def small_store() -> Any:
    """The module that writes the report tests' small store."""
    spec = importlib.util.spec_from_file_location("report_small_store", SMALL_STORE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def dress(store: Path) -> Path:
    """Give every sample a script for a name, and the second data set a protocol of its own."""
    for path in (*store.glob("data/*/samples.parquet"), *store.glob("jobs/*/scores.parquet")):
        table = pd.read_parquet(path)
        table.assign(sample_id=SCRIPT_IN_NAME + table["sample_id"]).to_parquet(path, index=False)
    for path in store.glob("data/*/card.json"):
        card = json.loads(path.read_text())
        card["card"]["protocol"] = "patch" if card["name"] == "skin" else "slice"
        path.write_text(json.dumps(card))
    return store


@pytest.fixture(scope="session")
def stores(small_store: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two stores: in the first a job failed, in the second PaDiM is better on skin."""
    folder = tmp_path_factory.mktemp("stores")

    def better(run: Any) -> Any:
        if run.model == "PaDiM":
            run.scores["raw_score"] += 4.0 * (run.scores.index % small_store.PER_PATIENT >= 2)
        return run

    first = small_store.write_small_store(folder / "first", change=small_store.fail_one)
    second = small_store.write_small_store(folder / "second", names=("skin",), change=better)
    return dress(first), dress(second)
