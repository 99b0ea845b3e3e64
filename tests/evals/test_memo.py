"""The memo: one page in Markdown or HTML, in which nobody's words do anything."""

import json
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser

import pytest
from test_comparison import MANY, comparison, measured, side

from outlay.evals import Checked, Side, document, memo, report

EVIL = "<script>alert(1)</script>|[x](javascript:alert(2))`\n# *h* \x1b[31m\u202e"


class Tags(HTMLParser):
    """The elements of a page; unclosed ones make it fail."""

    def __init__(self):
        super().__init__()
        self.seen, self._open = [], []

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        assert not [name for name, _ in attrs if name.startswith("on")]
        if tag not in ("meta", "!doctype"):
            self._open.append(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag


def tags(text):
    parser = Tags()
    parser.feed(text)
    parser.close()
    assert parser._open == []
    return parser.seen


@pytest.fixture
def plain_comparison():
    return comparison(side("one", MANY), side("crew", [1] * 20, agents=3, cost="0.004"))


@pytest.fixture
def evil():
    wrong = (Checked(EVIL, EVIL),)
    a = Side(EVIL, 1, tuple(measured(f"{i}{EVIL}", False, checks=wrong) for i in range(8)))
    b = Side("b", 2, tuple(measured(i, True, checks=(Checked(EVIL, EVIL, raised=i == 0),)) for i in range(8)))
    return comparison(a, b, checkers=(EVIL,), judge=EVIL, kinship=EVIL)


def test_a_memo_says_what_to_ship_why_and_what_would_change_it(plain_comparison):
    for text in (memo(plain_comparison), memo(plain_comparison, as_html=True)):
        for part in ("one or crew?", "Ship crew where a success is worth more than $0.004286", "What would flip it",
                     "Failure modes handled", "docs/failure-modes.md", "Coordination tax", "with its 95", "McNemar",
                     "quality per dollar", "tokens per useful unit", "P50 · P95"):  # fmt: skip
            assert part in text


def test_the_page_is_well_formed_and_its_charts_are_svg(plain_comparison):
    text = memo(plain_comparison, as_html=True)
    assert text.startswith("<!doctype html>")
    assert tags(text).count("svg") == 1
    svg = text[text.index("<svg") : text.index("</svg>") + 6]
    bars = [e for e in ElementTree.fromstring(svg).iter() if e.tag.endswith("rect")]
    assert len(bars) == 6  # success, dollars and seconds of two sides


def test_nothing_is_loaded_from_elsewhere(plain_comparison):
    text = memo(plain_comparison, as_html=True)
    assert "default-src 'none'" in text
    assert set(tags(text)) & {"script", "link", "img", "iframe", "a"} == set()


def test_charts_in_markdown_are_characters_in_a_code_block(plain_comparison):
    """Hosts of Markdown show no SVG inside of a text, but its bare words."""
    text = memo(plain_comparison)
    assert "<" not in text
    block = [line for line in text.splitlines() if line.startswith("    ")]
    assert block[:3] == [
        "    success, with its 95 % interval",
        "    one   █████████▋                        30 % (15 % … 52 %)",
        "    crew  ████████████████████████████████  100 % (84 % … 100 %)",
    ]
    assert [line.split()[0] for line in block[3:]] == ["dollars", "one", "crew", "seconds", "one", "crew"]


def test_it_fits_on_a_page(plain_comparison):
    assert len(memo(plain_comparison).splitlines()) <= 75
    assert len(memo(plain_comparison).split()) <= 700


@pytest.mark.parametrize("as_html", [False, True])
def test_nobodys_words_become_markup(evil, as_html):
    text = memo(evil, as_html=as_html)
    assert "<script" not in text
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert set(tags(text)) & {"script", "img", "iframe"} == set()
    if not as_html:
        assert "[x](" not in text
        rows = [line for line in text.splitlines() if line.startswith("| ")]
        assert {line.replace("\\|", "").count("|") for line in rows} <= {3, 4, 5}


def test_the_terminal_gets_no_controls(evil):
    assert "\x1b" not in report(evil)
    assert "\u202e" not in report(evil)


def test_json_has_all_of_it_and_unknown_is_null(evil):
    found = json.loads(json.dumps(document(comparison(side("a", [1] * 8), side("b", [0] * 8, cost=None)))))
    assert (found["b"]["cost"], found["multiplier"], found["a"]["cost"]) == (None, None, "0.008")
    assert found["mcnemar"] == {"only_a": 8, "only_b": 0, "p": 0.0078125}
    assert len(found["a"]["results"]) == 8
    assert found["b"]["results"][0]["problems"] == {"exact": "got '2', expected '1'"}
    assert json.dumps(document(evil))
