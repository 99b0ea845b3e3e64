"""Checkers: what passes, and what is said of what does not."""

import dataclasses
import enum
import os
import sqlite3
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import BaseModel

from outlay import checkers
from outlay.checkers import extras
from outlay.checkers.checker import LONGEST
from outlay.errors import ConfigError
from outlay.protocols.context import RunContext
from outlay.protocols.context import RunContext as Ctx
from outlay.protocols.signature import takes_context
from outlay.values.content import ToolResult


class Answer(BaseModel):
    text: str
    confidence: float = 1.0


class Colour(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Finding:
    claim: str
    sources: list[str]


def in_run(*results):
    return SimpleNamespace(tool_results=tuple(results))


def gave(content, *, is_error=False):
    return ToolResult("c1", "search", content, is_error)


# ── exact ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("expected", "output"),
    [
        ("yes", "yes"),
        ("yes", " yes\n"),
        (4, 4),
        (4, "4"),
        (Colour.RED, "red"),
        (["a"], ["a"]),
        ("hi", Answer(text="hi")),
    ],
)
def test_exact_passes_the_same(expected, output):
    assert checkers.exact(expected)(output) is None


def test_exact_says_both():
    assert checkers.exact("yes")("Yes, certainly") == "got 'Yes, certainly', expected exactly 'yes'"


def test_exact_may_ignore_case():
    assert checkers.exact("Yes")("yES") is not None
    assert checkers.exact("Yes", ignore_case=True)("yES") is None


def test_exact_tells_true_from_one():
    assert checkers.exact(1)(True) is not None


def test_messages_do_not_repeat_long_outputs():
    assert len(checkers.exact("yes")("x" * 100_000)) < 200


# ── numeric ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("expected", "tolerance", "output"),
    [
        (7, 0, "3 + 4 = 7."),
        (7, 0, 7.0),
        (1234.5, 0, "It costs $1,234.50"),
        (-3, 0, "\N{MINUS SIGN}3"),
        (0.5, 0, ".5"),
        (72, 0, "she sold 48 + 24\n#### 72"),
        (3.14, "0.01", "about 3.1416"),
        (1_500, 0, "1.5e3"),
        (20, 0, "20%"),
    ],
)
def test_numeric_takes_the_last_number(expected, tolerance, output):
    assert checkers.numeric(expected, tolerance)(output) is None


@pytest.mark.parametrize("output", ["8", "none", "", "7 or 8", float("nan"), float("inf"), "1e9999", True])
def test_numeric_fails_other_answers(output):
    assert checkers.numeric(7)(output) is not None


def test_numeric_may_be_relative():
    assert checkers.numeric(200, "0.1", relative=True)("219") is None
    assert checkers.numeric(200, "0.1", relative=True)("221") == "the answer is 221, expected 200 ± 20.0"


def test_numeric_refuses_a_tolerance_that_makes_no_sense():
    with pytest.raises(ConfigError):
        checkers.numeric(7, -1)


def test_numeric_reads_a_long_text_in_linear_time():
    began = time.perf_counter()
    checkers.numeric(7)("1" * 500_000 + "x")
    checkers.numeric(7)("1," * 400_000 + "x")
    assert time.perf_counter() - began < 5


# ── regex and length ──────────────────────────────────────────────────────────────────────────────────────────


def test_regex_searches_or_describes_the_whole():
    assert checkers.regex(r"\d+")("order 66") is None
    assert checkers.regex(r"\d+", full=True)("order 66") == r"'order 66' is not of the form /\d+/"
    assert checkers.regex(r"\d+")("none") == r"'none' has nothing that matches /\d+/"


def test_a_pattern_that_is_none_is_refused():
    with pytest.raises(ConfigError, match="regex"):
        checkers.regex("(")


def test_huge_outputs_are_not_searched():
    assert "make it shorter" in checkers.regex("a")("a" * (LONGEST + 1))


@pytest.mark.parametrize(
    ("limits", "text", "problem"),
    [
        ({"max_words": 3}, "one two three", None),
        ({"max_words": 3}, "one two three four", "4 words, at most 3: shorten it by 1"),
        ({"min_words": 3}, "one two", "2 words, at least 3: lengthen it by 1"),
        ({"max_chars": 3}, "four", "4 characters, at most 3: shorten it by 1"),
        ({"min_chars": 5}, "four", "4 characters, at least 5: lengthen it by 1"),
        (
            {"max_words": 0, "max_chars": 0},
            "a",
            "1 words, at most 0: shorten it by 1; 1 characters, at most 0: shorten it by 1",
        ),
    ],
)
def test_length_says_by_how_much(limits, text, problem):
    assert checkers.length(**limits)(text) == problem


@pytest.mark.parametrize("limits", [{}, {"max_words": -1}, {"min_words": 3, "max_words": 2}])
def test_limits_that_no_text_meets_are_refused(limits):
    with pytest.raises(ConfigError):
        checkers.length(**limits)


# ── json_schema ───────────────────────────────────────────────────────────────────────────────────────────────

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


@pytest.mark.parametrize("output", ['{"n": 1}', 'Here:\n```json\n{"n": 1}\n```\n', {"n": 1}])
def test_json_schema_passes_what_fits(output):
    assert checkers.json_schema(SCHEMA)(output) is None


@pytest.mark.parametrize(
    ("output", "problem"),
    [
        ('{"n": "one"}', "at $.n: 'one' is not of type 'integer'"),
        ("{}", "at $: 'n' is a required property"),
        ("n = 1", "not JSON (Expecting value: line 1 column 1 (char 0)): answer with the JSON alone"),
        ("[" * 100_000, "the JSON is nested too deeply to be read"),
    ],
)
def test_json_schema_says_where(output, problem):
    assert checkers.json_schema(SCHEMA)(output) == problem


def test_json_schema_fetches_nothing():
    check = checkers.json_schema({"$ref": "http://127.0.0.1:1/schema.json"})
    with pytest.raises(ConfigError, match="nothing is fetched"):
        check("{}")


def test_a_schema_that_is_none_is_refused():
    with pytest.raises(ConfigError, match="the schema is not valid"):
        checkers.json_schema({"type": "thing"})


def test_a_missing_extra_names_the_install_command():
    with pytest.raises(ConfigError, match=r"pip install 'outlay\[checkers\]'"):
        extras.needs("no_such_module_at_all", "json_schema")


# ── citations ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "text",
    [
        "Sodium is cheap [a1].",
        "Sodium is cheap. [a1] It is heavy. [b2]",
        "Sodium is cheap [a1]. It is heavy [a1, b2].",
        "# Findings\n\nWhat we know:\n- Sodium is cheap [a1]\n- It is heavy [b2]\n\nIs it ready?",
        "Alkali metals, e.g. sodium, are cheap [a1].",
        "Cheap at 3.5 cents a gram [a1]!",
    ],
)
def test_citations_pass_when_each_claim_has_a_source(text):
    assert checkers.citations(["a1", "b2"])(text) is None


def test_citations_name_the_claim_without_a_source():
    problem = checkers.citations(["a1"])("Sodium is cheap [a1]. It will win.")
    assert problem == "cites no source: 'It will win.'; add [source-id]"


def test_citations_name_the_source_that_does_not_exist():
    problem = checkers.citations(["a1", "b2"])("Sodium is cheap [zz].")
    assert problem == "no such source: zz; the sources are a1, b2"


def test_a_markdown_link_is_no_citation():
    assert "cites no source" in checkers.citations(["a1"])("See [a1](http://example.com) for more.")


def test_claims_may_be_paragraphs_or_the_whole_answer():
    text = "Sodium is cheap. It is heavy [a1].\n\nIt will win."
    assert checkers.citations(["a1"], per="answer")(text) is None
    assert "It will win" in checkers.citations(["a1"], per="paragraph")(text)


def test_structured_claims_cite_by_a_function():
    check = checkers.citations(["a1"], cited=lambda finding: finding.sources)
    assert check([Finding("cheap", ["a1"])]) is None
    assert "no such source: b2" in check([Finding("cheap", ["b2"])])
    assert "cites no source" in check([Finding("cheap", [])])


@pytest.mark.parametrize(
    "result",
    ["[a1] Sodium costs little.", '[{"id": "a1", "text": "…"}]', '{"source":"a1"}'],
    ids=["text", "id", "source"],
)
def test_without_a_list_the_sources_are_those_that_the_tools_gave(result):
    check = checkers.citations()
    assert takes_context(check)
    assert check(in_run(gave(result)), "Sodium is cheap [a1].") is None
    assert "no such source: zz" in check(in_run(gave(result)), "Sodium is cheap [zz].")


def test_an_address_from_a_tool_is_a_source():
    result = gave("see https://example.com/a?b=1, and more")
    assert checkers.citations()(in_run(result), "Cheap stuff [https://example.com/a?b=1].") is None


def test_a_tools_error_is_no_source():
    problem = checkers.citations()(in_run(gave("[a1] not found", is_error=True)), "Sodium is cheap [a1].")
    assert problem == "no such source: a1; no source was given"


def test_a_mere_mention_in_a_tools_text_makes_no_source():
    assert checkers.citations()(in_run(gave("1 of 7 results")), "Sodium is cheap [7].") is not None


def test_citations_refuse_a_pattern_without_one_group():
    with pytest.raises(ConfigError, match="one group"):
        checkers.citations(["a"], pattern=r"\[\w+\]")
    with pytest.raises(ConfigError, match="citations"):
        checkers.citations(["a"], pattern=r"(?i)\[(\w+)")
    with pytest.raises(ConfigError, match="list of ids"):
        checkers.citations("a1")


@pytest.mark.parametrize(
    "piece",
    [
        "[",
        "[a",
        "a. ",
        "[a] ",
        "[a,",
        ". [a]",
        "No. ",
        "[a][a]. ",
        "x. [a] [a] ",
        "http://",
        '"id": ',
        "a, ",
        "e.g. [a] ",
    ],
)
def test_citations_read_hostile_text_in_linear_time(piece):
    text = (piece * 200_000)[:200_000]
    began = time.perf_counter()
    checkers.citations()(in_run(gave(text)), text)
    assert time.perf_counter() - began < 2


# ── ruff ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_ruff_passes_clean_code_in_a_fence():
    assert checkers.ruff()("Here you are:\n```python\nprint('hi')\n```\n") is None


def test_ruff_names_line_and_rule_and_heeds_no_noqa():
    problem = checkers.ruff()("import os  # noqa\nprint(x)  # noqa: F821\n")
    first, second = problem.splitlines()
    assert first.startswith("output.py:1:8: F401 ")
    assert second == "output.py:2:7: F821 Undefined name `x`"


def test_ruff_refuses_rules_that_do_not_exist():
    with pytest.raises(ConfigError, match="ruff failed"):
        checkers.ruff(["NOPE123"])("x = 1\n")


# ── tests ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def suite(tmp_path):
    folder = tmp_path / "suite"
    folder.mkdir()
    (folder / "test_add.py").write_text(
        "from solution import add\n\ndef test_add():\n    assert add(1, 2) == 3\n\ndef test_keys():\n"
        "    import os\n    assert 'SECRET_API_KEY' not in os.environ\n"
    )
    return folder


def test_tests_pass_code_with_which_they_pass(suite, monkeypatch):
    monkeypatch.setenv("SECRET_API_KEY", "s")
    assert checkers.tests(suite)("```python\ndef add(a, b):\n    return a + b\n```") is None
    assert sorted(path.name for path in suite.iterdir()) == ["test_add.py"]


def test_tests_say_what_failed(suite):
    problem = checkers.tests(suite)("def add(a, b):\n    return a - b\n")
    assert problem.startswith("the tests fail:\nE ")
    assert "test_add.py::test_add" in problem


def test_leaving_early_is_not_passing(suite):
    assert "do not call exit" in checkers.tests(suite)("import os\nos._exit(0)\n")


def test_endless_code_is_stopped_with_its_children(tmp_path):
    alive = tmp_path / "alive"
    child = f"import time; time.sleep(1.5); open({str(alive)!r}, 'w')"
    code = f"import subprocess, sys, time\nsubprocess.Popen([sys.executable, '-c', {child!r}])\ntime.sleep(60)\n"
    began = time.perf_counter()
    assert "did not finish in 0.8 s" in checkers.tests([sys.executable, "solution.py"], timeout=0.8)(code)
    time.sleep(max(0, began + 2.2 - time.perf_counter()))
    assert not alive.exists()


def test_endless_output_is_not_kept(suite):
    problem = checkers.tests([sys.executable, "solution.py"])(
        "for i in range(200_000): print('x' * 50)\nraise SystemExit(1)\n"
    )
    assert problem.startswith("the tests fail:")
    assert len(problem) < 2_000


def test_a_command_is_a_list_and_meets_no_shell(tmp_path):
    check = checkers.tests([sys.executable, "solution.py", "; touch", str(tmp_path / "gone")])
    assert check("print(1)") is None
    assert "the tests fail" in check("raise SystemExit(3)")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("what", "options"), [("no/such/folder", {}), (["no-such-program-x"], {}), ([], {}), (".", {"file": "../x.py"})]
)
def test_tests_refuse_what_cannot_run(what, options):
    with pytest.raises(ConfigError):
        checkers.tests(what, **options)


def test_a_folder_without_tests_is_the_users_mistake(tmp_path):
    with pytest.raises(ConfigError, match="found no tests"):
        checkers.tests(tmp_path)("x = 1")


# ── sql ───────────────────────────────────────────────────────────────────────────────────────────────────────

TABLES = "CREATE TABLE orders (id INTEGER PRIMARY KEY, total REAL)"


@pytest.fixture
def database(tmp_path):
    path = tmp_path / "my shop?.db"
    connection = sqlite3.connect(path)
    connection.executescript(TABLES)
    connection.close()
    return path


@pytest.mark.parametrize(
    "query",
    [
        "SELECT sum(total) FROM orders;",
        "```sql\nSELECT id FROM orders WHERE total > 3\n```",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 9) SELECT * FROM n, orders",
    ],
)
def test_sql_passes_queries_that_the_database_can_plan(database, query):
    assert checkers.sql(database)(query) is None
    assert checkers.sql(schema=TABLES)(query) is None


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("SELECT totl FROM orders", "SQLite says: no such column: totl"),
        ("SELEC 1", 'SQLite says: near "SELEC": syntax error'),
        ("DROP TABLE orders", "the query does more than read; answer with one SELECT"),
        ("INSERT INTO orders VALUES (1, 1)", "the query does more than read; answer with one SELECT"),
        ("PRAGMA journal_mode = WAL", "the query does more than read; answer with one SELECT"),
        ("ATTACH 'x.db' AS x", "the query does more than read; answer with one SELECT"),
        ("SELECT load_extension('x')", "the query does more than read; answer with one SELECT"),
        ("SELECT 1; DROP TABLE orders", "SQLite says: You can only execute one statement at a time."),
        ("", "there is no query; answer with one SELECT"),
        ("SELECT 1 -- " + "x" * 100_000, "the query has 100,012 characters, at most 100,000"),
    ],
)
def test_sql_says_what_is_wrong_and_runs_nothing(database, query, problem):
    before = database.read_bytes()
    assert checkers.sql(database)(query) == problem
    assert database.read_bytes() == before
    assert os.listdir(database.parent) == [database.name]


@pytest.mark.parametrize("options", [{}, {"database": "gone.db"}, {"schema": "CREATE TALBE x"}, {"database": __file__}])
def test_sql_refuses_a_database_that_cannot_be_read(options):
    with pytest.raises(ConfigError):
        checkers.sql(**options)


# ── together ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_all_of_says_all_that_is_wrong():
    check = checkers.all_of(checkers.length(max_words=2), checkers.regex("please"))
    assert check("please wait") is None
    assert check("wait a bit").splitlines() == [
        "3 words, at most 2: shorten it by 1",
        "'wait a bit' has nothing that matches /please/",
    ]


def test_all_of_hands_the_context_to_those_that_ask():
    def polite(output: str) -> str | None:
        return None if "please" in output else "say please"

    def sourced(ctx: RunContext[Any], output: str) -> str | None:
        return None if ctx.tool_results else "use a tool"

    check = checkers.all_of(polite, sourced)
    assert check.name == "polite+sourced"
    assert takes_context(check)
    assert check(in_run(), "no") == "say please\nuse a tool"
    assert check(in_run(gave("x")), "please") is None
    assert not takes_context(checkers.all_of(polite))


def test_all_of_knows_the_context_by_any_name():
    def sourced(run: Ctx, output: str) -> str | None:
        return None if run.tool_results else "use a tool"

    assert checkers.all_of(sourced)(in_run(), "no") == "use a tool"


def test_all_of_runs_slow_checkers_only_on_what_the_others_pass(suite):
    check = checkers.all_of(checkers.tests(suite), checkers.length(max_words=1))
    assert check.blocking
    assert check("import nothing at all") == "4 words, at most 1: shorten it by 3"


def test_all_of_refuses_nothing_and_asynchronous_checkers():
    async def later(output: str) -> None: ...

    for wrong in ([], [later]):
        with pytest.raises(ConfigError):
            checkers.all_of(*wrong)


def test_checkers_have_names_and_say_whether_they_block(suite):
    assert checkers.exact("x").name == "exact"
    assert not checkers.exact("x").blocking
    assert checkers.tests(suite).blocking
    assert [checkers.numeric(1).name, checkers.citations().name] == ["numeric", "citations"]


@pytest.mark.parametrize(
    ("output", "text"),
    [
        ("as it is", "as it is"),
        (Answer(text="its text"), "its text"),
        ({"text": "its text"}, "its text"),
        (Colour.RED, "red"),
        ({"n": 1}, '{"n": 1}'),
        ([Finding("é", [])], '[{"claim": "é", "sources": []}]'),
        (3, "3"),
    ],
)
def test_any_output_has_a_text(output, text):
    assert checkers.text_of(output) == text


def test_a_text_of_what_is_no_json_is_its_str():
    assert checkers.text_of(Path) == str(Path)


def test_importing_the_tests_checker_by_name_collects_no_test(request):
    from outlay.testing.pytest_plugin import pytest_pycollect_makeitem

    assert pytest_pycollect_makeitem("tests", checkers.tests) == []
    assert pytest_pycollect_makeitem("test_x", test_exact_says_both) is None
