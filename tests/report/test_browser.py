"""The page in a browser: Debian's Chromium, headless, where it is installed."""

import shutil

import pandas as pd
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright
from support.altered import many_runs, rename_mlp

from bench import report
from bench.analysis import analyse
from bench.analysis.history import history
from bench.report.text import with_interval

CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here: apt-get install chromium"),
]


@pytest.fixture(scope="module")
def chromium():
    """A browser with a fresh profile."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--headless", "--no-sandbox", "--disable-gpu"]
        )
        yield browser
        browser.close()


@pytest.fixture
def opened(chromium, recorded_run):
    """Opens a page, a run's if no other; the browser's complaints and requests are in its `errors` and `requests`."""
    contexts = []

    def open_page(path=None, **options):
        if path is None:
            report.write(analyse(recorded_run), recorded_run)
        contexts.append(chromium.new_context(**options))
        page = contexts[-1].new_page()
        page.errors, page.requests = [], []
        page.on("console", lambda said: page.errors.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: page.errors.append(str(error)))
        page.on("request", lambda request: page.requests.append(request.url))
        page.goto((path or recorded_run / "report.html").as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()


def test_the_page_opens_without_an_error_or_a_request_and_draws_its_pictures(opened):
    page = opened()
    page.wait_for_selector(".js-plotly-plot")

    assert page.errors == []
    assert [url for url in page.requests if not url.startswith(("file:", "data:", "blob:"))] == []
    assert sum(url.startswith("file:") for url in page.requests) == 1


def test_a_filter_leaves_what_it_asks_for(opened):
    page = opened()
    page.select_option("select[name=workload]", "mlp")

    assert page.locator(".verdict:visible").count() == 1
    assert page.locator(".verdict:visible").inner_text().startswith("mlp on cpu")


def test_the_file_saved_from_the_page_is_comparisons_csv(opened, recorded_run):
    page = opened()
    with page.expect_download() as saved:
        page.click('button[data-file="comparisons.csv"]')

    pd.testing.assert_frame_equal(pd.read_csv(saved.value.path()), pd.read_csv(recorded_run / "comparisons.csv"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_axe_finds_nothing_serious_and_the_page_does_not_scroll_sideways(opened, scheme, width):
    page = opened(color_scheme=scheme, viewport={"width": width, "height": 844}, bypass_csp=True)
    page.add_style_tag(content=".block { content-visibility: visible !important }")  # what is far below too
    page.wait_for_selector(".js-plotly-plot")
    found = [one["id"] for one in Axe().run(page).response["violations"] if one["impact"] in ("serious", "critical")]

    assert found == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_click_on_a_column_sorts_and_another_turns_the_order_round(opened):
    page = opened()
    table = page.locator("table.sortable").first
    column = [name.strip() for name in table.locator("thead th").all_text_contents()].index("backend") + 1

    def after_a_click():
        table.locator(f"thead th:nth-child({column}) button").click()
        return table.locator(f"tbody td:nth-child({column})").all_text_contents()

    shown = after_a_click()
    assert shown == sorted(shown)
    assert len(set(shown)) > 1
    assert after_a_click() == sorted(shown, reverse=True)


def test_the_page_of_all_runs_keeps_machines_apart_and_leads_to_a_run(opened, tmp_path):
    def change(number, content):
        if number >= 2 and "machine" in content:
            content["machine"]["cpu"] = "another"

    folder = many_runs(tmp_path / "results", change, 4)
    for run in folder.iterdir():
        report.write(analyse(run), run)
    _, path = report.write_history(history(folder), folder)
    page = opened(path)
    page.wait_for_selector(".js-plotly-plot")
    page.select_option("select[name=machine]", index=2)
    shown = page.locator("figure:visible figcaption p").all_inner_texts()
    page.get_by_role("link", name="20261103T120000Z-0002").first.click()

    assert page.errors == []
    assert shown
    assert all(words.startswith("another, ") for words in shown)
    assert page.url.endswith("20261103T120000Z-0002/report.html")


def test_names_from_a_users_file_are_text(opened, recorded_run):
    hostile = '<img src=x onerror="document.title=1">.py'
    rename_mlp(recorded_run, hostile)
    page = opened()
    page.wait_for_selector(".js-plotly-plot")

    assert page.locator("img").count() == 0
    assert page.title() != "1"
    assert any(hostile.removesuffix(".py") in said for said in page.locator(".verdict").all_inner_texts())


def test_the_verdict_in_the_browser_is_that_of_comparisons_csv(opened, recorded_run):
    said = " ".join(opened().locator(".verdict").all_inner_texts())
    table = pd.read_csv(recorded_run / "comparisons.csv")

    for row in table[table["verdict"].eq("slower")].to_dict("records"):
        shown = with_interval(row["ratio"], row["ratio_low"], row["ratio_high"])
        assert f"{row['backend']} takes {shown} times as long" in said
    assert table["verdict"].eq("slower").any()
