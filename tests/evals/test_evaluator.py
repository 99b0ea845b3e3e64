"""Evaluators: checkers by name and by function, made for each case from what it expects."""

import pytest

from outlay.checkers import citations, length
from outlay.errors import ConfigError
from outlay.evals import Case, evaluator
from outlay.evals.evaluator import bound, judged


async def said(given, output, expected=None):
    (name, check), *_ = bound([evaluator(given)], Case("c", "in", expected))
    return await judged(check, name, output)


SCHEMA = {"type": "object", "required": ["a"]}


@pytest.mark.parametrize(
    ("name", "expected", "good", "bad"),
    [
        ("exact", "Yes", "Yes ", "yes"),
        ("exact=ignore_case", "Yes", "yes", "no"),
        ("numeric", "1,200", "so it is 1200.", "1201"),
        ("numeric=0.5", 3, "3.4", "3.6"),
        ("numeric=10%", 100, "91", "89"),
        ("regex", "^a+$", "aaa", "b"),
        ("regex=b:c", None, "ab:cd", "bc"),
        ("json_schema", SCHEMA, '{"a": 1}', "{}"),
        ("json_schema", '{"required": ["a"]}', '{"a": 1}', "{}"),
        ("length=2", None, "two words", "three words now"),
        ("length", "1", "one", "two words"),
        ("citations=a,b", None, "It is so [a].", "It is so [c]."),
        ("citations", ["a"], "It is so [a].", "It is so."),
        ("ruff", None, "x = 1\n", "x = y\n"),
        ("sql", "CREATE TABLE t (a INT);", "SELECT a FROM t", "SELECT b FROM t"),
        ("runs", None, "x = 1", "x = y"),
        ("runs=prints", "3", "print(1 + 2)", "print(1)"),
        ("runs=asserts", "assert f() == 1", "f = lambda: 1", "f = lambda: 2"),
    ],
)
async def test_each_named_checker_tells_good_from_bad(name, expected, good, bad):
    assert (await said(name, good, expected)).problem is None
    checked = await said(name, bad, expected)
    assert checked.problem
    assert not checked.raised


@pytest.mark.parametrize("name", ["exact", "numeric", "regex", "json_schema", "citations", "sql", "runs=prints"])
def test_a_case_that_expects_nothing_is_named_before_anything_runs(name):
    with pytest.raises(ConfigError, match=r"case 'c17'.*nothing is expected") as error:
        bound([evaluator(name)], Case("c17", "x"))
    assert "expected" in error.value.hint


@pytest.mark.parametrize(
    ("name", "expected"),
    [("numeric", "many"), ("regex", "("), ("json_schema", "no json"), ("length", "long"), ("runs=asserts", "assert (")],
)
def test_what_is_expected_must_fit_its_checker(name, expected):
    with pytest.raises(ConfigError, match="case 'c'"):
        bound([evaluator(name)], Case("c", "x", expected))


@pytest.mark.parametrize("name", ["exakt", "exact=maybe", "numeric=much", "runs=fast", "tests", "regex=(", ""])
def test_a_name_or_argument_that_is_none_is_refused(name):
    with pytest.raises(ConfigError):
        bound([evaluator(name)], Case("c", "x", "1"))


async def test_a_function_may_ask_for_what_is_expected_or_for_the_case():
    def alone(output):
        return None if output == "x" else "not x"

    def beside(output, expected):
        return None if output == expected else f"not {expected}"

    def whole(output, case: Case):
        return None if output == case.input else f"not {case.input}"

    async def later(output):
        return None if output == "x" else "not x"

    for check in (alone, beside, whole, later):
        found = evaluator(check)
        case = Case("c", "x", "x")
        (name, bound_check), *_ = bound([found], case)
        assert name == check.__name__
        assert (await judged(bound_check, name, "x")).problem is None
        assert (await judged(bound_check, name, "y")).problem == "not x"
    assert (await said(length(max_words=1), "two words")).problem


async def test_a_checker_that_fails_has_said_nothing_of_the_output():
    def fails(output):
        raise KeyError("oops")

    def yes(output):
        return True

    for check, text in ((fails, "KeyError: 'oops'"), (yes, "it gave bool, neither None nor what is wrong")):
        checked = await said(check, "x")
        assert (checked.raised, checked.problem) == (True, text)


def test_a_checker_that_asks_the_run_has_none_to_ask():
    with pytest.raises(ConfigError, match="asks the run"):
        evaluator(citations())


def test_a_checker_of_another_shape_is_refused():
    with pytest.raises(ConfigError, match="takes 3 arguments"):
        evaluator(lambda a, b, c: None)
    with pytest.raises(ConfigError, match="no checker"):
        evaluator(3)


def test_a_changed_checker_judges_anew():
    limits = [evaluator(length(max_words=n)).mark for n in (1, 2, 1)]
    assert limits[0] != limits[1]
    assert limits[0] == limits[2]
