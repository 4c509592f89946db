"""The report in a real browser at the widths of a desk, a tablet and a phone: nothing overlaps, nothing is clipped."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browser import CHROMIUM, LAYOUT, Page, browsing, clipped, overlapping
from recorded import row, table_of
from replaying import ChainRouter
from test_report_truth import few_settings, many, one_cluster

from langchain_atlas.evaluation.report.page import figures, page
from langchain_atlas.evaluation.report.volume import read_volume
from langchain_atlas.outcomes import OutcomeTable
from langchain_atlas.pool.pool import Pair
from langchain_atlas.routers.learned.knn import KNNRouter

if TYPE_CHECKING:
    from langchain_atlas.routers.base import Router

WIDTHS = (1400, 800, 390)
LONG = "meta-llama/Meta-Llama-3.1-405B-Instruct-Turbo-with-a-long-name"

PALE = """(() => {
  const linear = (part) => (part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
  const light = (colour) => {
    const [red, green, blue] = colour.match(/[0-9.]+/g).map((value) => linear(value / 255));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const paper = light(getComputedStyle(document.body).backgroundColor);
  const found = {};
  for (const node of document.querySelectorAll("header *, main *")) {
    if (![...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim())) continue;
    if (/^noscript$/i.test(node.tagName)) continue;
    const style = getComputedStyle(node);
    const own = light(node instanceof SVGElement ? style.fill : style.color);
    const contrast = (Math.max(own, paper) + 0.05) / (Math.min(own, paper) + 0.05);
    if (contrast < 4.5) found[node.textContent.trim().slice(0, 30)] = contrast;
  }
  return found;
})()"""
"""The texts whose contrast to the paper is below 4.5, with it."""

__all__ = ["few_settings"]  # a fixture that every test here uses

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs chromium, which is not installed"),
]


def long_names() -> OutcomeTable:
    """Make outcomes of pairs and domains with names as long as real ones are."""
    rows = []
    for each in many(0, 120).table.to_pylist():
        number = int(each["query_id"][1:])
        for model, cost in ((LONG, 0.003), ("claude-3-5-sonnet-20240620", 0.009), ("gpt-4o-mini-2024-07-18", 0.0002)):
            for tool in ("retrieval-augmented-search", "none"):
                right = (number * 7 + len(model) + len(tool)) % 3 > 0
                pair = f"{model}@@{tool}"
                domain = f"parallel_multiple_function_{number % 9}_of_the_benchmark"
                rows.append(row(each["query_id"], pair, float(right), cost, query=each["query"], domain=domain))
    return table_of(*rows)


def faults(opened: Page, width: int) -> list[str]:
    opened.resize(width)
    layout = opened.evaluate(LAYOUT)
    drawn = [
        int(each)
        for each in opened.evaluate("[...document.querySelectorAll('.chart .main-svg')].map((s) => s.clientWidth)")
    ]
    wide = [f"a chart is {each} wide" for each in drawn if each > width]
    return [
        *clipped(layout),
        *overlapping(layout),
        *wide,
        *filter(None, [opened.evaluate("document.documentElement.dataset.errors")]),
    ]


@pytest.mark.parametrize("kind", ["clusters", "calls"])
def test_nothing_overlaps_or_is_clipped_whatever_the_width(kind: str, tmp_path: Path) -> None:
    table = long_names()
    pairs = [Pair(LONG, "retrieval-augmented-search"), Pair("gpt-4o-mini-2024-07-18", "none")]
    router: Router = one_cluster(table) if kind == "clusters" else ChainRouter(*pairs)
    content = figures({"routers/a-router-with-quite-a-name": router}, table, volume=read_volume("100000/month"))
    path = tmp_path / "report.html"
    path.write_text(page(content), encoding="utf-8")
    with browsing(tmp_path) as opened:
        opened.resize(WIDTHS[0])
        opened.open(path.as_uri())
        for scheme in ("light", "dark"):
            opened.scheme(scheme)
            for width in (*WIDTHS, WIDTHS[1], WIDTHS[0]):  # and back again: it draws itself anew
                assert faults(opened, width) == [], (scheme, width)


def test_charts_fill_the_width_after_a_resize(tmp_path: Path) -> None:
    table = many(0, 120)
    path = tmp_path / "report.html"
    path.write_text(page(figures({"mine": one_cluster(table)}, table)), encoding="utf-8")
    with browsing(tmp_path) as opened:
        opened.resize(390)
        opened.open(path.as_uri())
        opened.resize(1400)
        chart, main = (
            opened.evaluate(f"document.querySelector('{each}').clientWidth")
            for each in ("#domains .main-svg", "#domains")
        )
        assert chart == main
        drawn = opened.evaluate("document.querySelector('#picture svg').clientWidth")
        assert drawn == opened.evaluate("document.querySelector('#picture').clientWidth")


def test_texts_can_be_read_in_both_schemes(tmp_path: Path) -> None:
    """Contrast of every text of the page to the paper, as WCAG 2 counts it: 4.5 or more."""
    table = many(0, 120)
    path = tmp_path / "report.html"
    path.write_text(page(figures({"mine": one_cluster(table)}, table)), encoding="utf-8")
    with browsing(tmp_path) as opened:
        opened.open(path.as_uri())
        for scheme in ("light", "dark"):
            opened.scheme(scheme)
            assert opened.evaluate(PALE) == {}, scheme


def test_two_routers_and_their_buttons(tmp_path: Path) -> None:
    table = many(0, 120)
    router = one_cluster(table)
    content = figures({"a/mine": router, "b/near": KNNRouter(router.encoder).fit(table)}, table)
    path = tmp_path / "report.html"
    path.write_text(page(content), encoding="utf-8")
    with browsing(tmp_path) as opened:
        opened.resize(390)
        opened.open(path.as_uri())
        assert opened.evaluate("document.querySelector('#groups-title').textContent") == "Clusters"
        opened.evaluate("document.querySelectorAll('#choice button')[1].click()")
        assert opened.evaluate("document.querySelector('#groups-title').textContent") == "Domains"
        assert "Router near" in opened.evaluate("document.querySelector('#headline').textContent")
        assert faults(opened, 390) == []
