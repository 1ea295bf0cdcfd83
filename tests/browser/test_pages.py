# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

"""What a reader can do with the pages, and what the pages must not do."""

from pathlib import Path
from typing import Any

import pytest

from anomalib_patchgan.report import write_comparison, write_leaderboard, write_report

MAIN = "#main-results-table"
WIDTHS = (360, 1440)


@pytest.fixture(scope="module")
def pages(browser: Any, stores: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The three kinds of page; the browser is asked for first, so that nothing is drawn where there is none."""
    folder = tmp_path_factory.mktemp("pages")
    return {
        "report": write_report(stores[0], folder / "report"),
        "comparison": write_comparison(*stores, folder / "comparison"),
        "leaderboard": write_leaderboard(stores[0].parent, folder / "leaderboard"),
    }


@pytest.fixture
def report(pages: dict[str, Path]) -> Path:
    """The page of one store."""
    return pages["report"]


def column(page: Any, number: int, table: str = MAIN) -> list[str]:
    """First lines of the cells of a column of visible rows."""
    rows = page.locator(f"{table} tbody tr:visible")
    return [text.split("\n")[0] for text in rows.locator(f":scope > :nth-child({number})").all_inner_texts()]


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("kind", ["report", "comparison", "leaderboard"])
def test_page_is_quiet_asks_for_nothing_and_is_no_wider_than_the_window(pages, visit, kind, width):
    visited = visit(pages[kind], width=width)
    assert visited.page.evaluate("document.documentElement.scrollWidth") <= width
    assert visited.errors == []
    assert [url for url in visited.requests if not url.startswith("data:")] == [pages[kind].as_uri()]


def test_first_screen_of_a_laptop_has_question_verdict_and_table(report, visit):
    page = visit(report).page
    assert page.locator("h1").inner_text() == "Is Patch-GAN ahead of simpler detectors?"
    for part in (".overall", ".verdict .headline >> nth=0", f"{MAIN} tbody tr >> nth=0"):
        box = page.locator(part).bounding_box()
        assert box["y"] + box["height"] <= 900, part


def test_click_on_a_head_sorts_by_number_and_the_next_one_reverses(report, visit):
    page = visit(report).page
    head = page.locator(f"{MAIN} thead th:nth-child(3)")
    orders = []
    for direction in ("descending", "ascending"):
        head.locator("button").click()
        page.wait_for_function("name => document.querySelector(`[aria-sort=${name}]`)", arg=direction)
        page.wait_for_timeout(20)  # the sorter reorders the rows in a timer
        orders.append([float(value) for value in column(page, 3)])
    assert orders[0] == sorted(orders[0], reverse=True)
    assert orders[1] == orders[0][::-1]
    assert len(set(orders[0])) > 5


def test_the_keyboard_sorts_too(report, visit):
    page = visit(report).page
    page.locator(f"{MAIN} thead th:nth-child(1) button").focus()
    page.keyboard.press("Enter")
    page.wait_for_selector(f"{MAIN} th[aria-sort=descending]")
    page.wait_for_timeout(20)
    names = column(page, 1)
    assert names == sorted(names, reverse=True)


def test_first_tab_stop_leads_past_the_contents(report, visit):
    page = visit(report).page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.getAttribute('href')") == "#main"


@pytest.mark.parametrize(("number", "value"), [(0, "skin"), (1, "patch")])
def test_rows_are_filtered_by_data_set_and_by_protocol(report, visit, number, value):
    page = visit(report).page
    status = page.locator(".filters [role=status]").first
    assert status.inner_text() == "8 of 8 rows"
    page.locator(".filters select").nth(number).select_option(value)
    assert set(column(page, 2)) == {"skin"}
    assert status.inner_text() == "4 of 8 rows"


def test_filter_outlives_a_sort(report, visit):
    page = visit(report).page
    page.locator(".filters select").first.select_option("skin")
    page.locator(f"{MAIN} thead th:nth-child(3) button").click()
    page.wait_for_selector(f"{MAIN} th[aria-sort=descending]")
    page.wait_for_timeout(20)
    assert column(page, 2) == ["skin"] * 4


def set_slider(page: Any, number: int, value: int) -> None:
    script = "(one, value) => { one.value = value; one.dispatchEvent(new Event('input')); }"
    page.locator(".gallery-box").first.locator("input[type=range]").nth(number).evaluate(script, value)


def test_slider_fades_the_map(report, visit):
    page = visit(report).page
    levels = page.locator(".levels").first
    pictures = {}
    for opacity in (0, 100):
        set_slider(page, 0, opacity)
        assert levels.evaluate("one => getComputedStyle(one).opacity") == str(opacity // 100)
        set_slider(page, 1, 255)
        pictures[opacity] = page.locator(".stack").first.screenshot()
    assert pictures[0] != pictures[100]
    assert page.locator("output").first.inner_text() == "100 %"


def test_slider_marks_what_is_above_the_threshold(report, visit):
    page = visit(report).page
    set_slider(page, 0, 0)
    shots = []
    for level in (255, 128):
        set_slider(page, 1, level)
        shots.append(page.locator(".stack").first.screenshot())
    text = page.locator("output").nth(1).inner_text()
    assert shots[0] != shots[1]
    assert "of all test pixels" in text
    set_slider(page, 1, 255)
    assert "marks 0.0 % of all test pixels" in page.locator("output").nth(1).inner_text()


def test_dark_scheme_turns_paper_and_figures_dark(report, visit):
    script = """() => [
        getComputedStyle(document.body).backgroundColor, getComputedStyle(document.querySelector('figure svg')).fill
    ]"""
    light, dark = (visit(report, scheme=scheme).page.evaluate(script) for scheme in ("light", "dark"))
    assert light == ["rgb(255, 255, 255)", "rgb(27, 31, 36)"]
    assert dark == ["rgb(20, 23, 27)", "rgb(232, 234, 237)"]


def test_print_unfolds_what_is_folded_and_leaves_controls_out(report, visit):
    page = visit(report, scheme="dark").page
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate("[...document.querySelectorAll('details')].every((one) => one.open)")
    assert not page.locator("nav, .filters, .sliders").filter(visible=True).count()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    pdf = page.pdf(format="A4")
    assert pdf.startswith(b"%PDF")


def test_a_script_in_a_file_name_is_text(report, visit):
    visited = visit(report)
    assert "<script>alert(2)</script>" in visited.page.locator(".example figcaption").first.inner_text()
    assert visited.errors == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("kind", ["report", "comparison", "leaderboard"])
def test_axe_finds_nothing_serious(pages, visit, kind, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    page = visit(pages[kind], width=360 if scheme == "dark" else 1440, scheme=scheme).page
    page.evaluate("document.querySelectorAll('details').forEach((one) => (one.open = true))")
    found = axe.Axe().run(page).response["violations"]
    serious = [(one["id"], one["nodes"][0]["html"][:200]) for one in found if one["impact"] in ("serious", "critical")]
    assert serious == []


def test_without_scripts_the_page_shows_no_dead_control(report, browser):
    context = browser.new_context(java_script_enabled=False, viewport={"width": 1440, "height": 900})
    page = context.new_page()
    page.goto(report.as_uri())
    assert not page.locator(".filters, .sliders, thead button").filter(visible=True).count()
    assert page.locator(f"{MAIN} tbody tr").count() == 8
    context.close()


def test_comparison_says_what_moved(pages, visit):
    page = visit(pages["comparison"]).page
    assert "better in 1" in page.locator(".overall").inner_text()
    assert page.locator("tr", has_text="PaDiM").filter(has_text="better").count() == 1
