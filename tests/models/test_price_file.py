"""Prices of one's own, from outlay.toml or the file that OUTLAY_PRICES names."""

from decimal import Decimal

import pytest

from outlay.errors import ConfigError
from outlay.models.price_file import default_book, find_table, read_table
from outlay.values.usage import Usage

GOOD = """
[other]
input = "not ours"

[prices."openai-chat:my-model"]
input = "0.20"
output = 0.6
cache_read = "0.02"
tiers = [{ above = 1000, input = 1, output = 2 }]

[prices."anthropic:claude-x"]
input = 4
output = 20
"""


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch, tmp_path):
    monkeypatch.delenv("OUTLAY_PRICES", raising=False)
    monkeypatch.chdir(tmp_path)


def write(folder, text, name="outlay.toml"):
    path = folder / name
    path.write_text(text)
    return path


def test_a_project_file_is_found_and_read(tmp_path):
    write(tmp_path, GOOD)
    price = default_book().find("openai-chat", "my-model")
    assert price.rates.output == Decimal("0.6")
    assert price.rates.cache_read == Decimal("0.02")
    assert price.rates.cache_write == Decimal("0.20")
    assert price.cost(Usage(input_tokens=1001)) == Decimal("0.001001")


def test_without_a_file_the_list_alone_counts():
    assert find_table() is None
    assert default_book().find("anthropic", "claude-haiku-4-5") is not None


def test_the_environment_names_another_file(tmp_path, monkeypatch):
    write(tmp_path, GOOD)
    path = write(tmp_path, '{"prices": {"openai:gpt-5.4": {"input": 0.1, "output": "0.2"}}}', "mine.json")
    monkeypatch.setenv("OUTLAY_PRICES", str(path))
    book = default_book()
    assert book.find("openai", "gpt-5.4").rates.input == Decimal("0.1")
    assert book.find("openai-chat", "my-model") is None


def test_anthropics_cache_writes_follow_from_the_input_rate(tmp_path):
    rates = read_table(write(tmp_path, GOOD)).find("anthropic", "claude-x").rates
    assert (rates.cache_read, rates.cache_write, rates.cache_write_1h) == (4, 5, 8)


def test_a_missing_file_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setenv("OUTLAY_PRICES", str(tmp_path / "gone.toml"))
    with pytest.raises(ConfigError, match=r"gone\.toml"):
        default_book()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ('[prices."a:b"]\ninput = 1', r"line 1: prices.'a:b': has no output"),
        ('[prices."a:b"]\noutput = 1', r"line 1: prices.'a:b': has no input"),
        ('# hm\n[prices."a:b"]\ninput = 1\noutput = "dear"', r"line 4: prices.'a:b', output: not an amount"),
        ('[prices."a:b"]\ninput = -1\noutput = 1', r"line 2: prices.'a:b', input: money must not be negative"),
        ('[prices."a:b"]\ninput = nan\noutput = 1', r"input: money must be finite"),
        ('[prices."a:b"]\ninput = true\noutput = 1', r"input: not a rate: True"),
        ('[prices."a:b"]\ninput = 0.000003\noutput = 1', r"looks like a price per token"),
        ('[prices."a:b"]\ninput = 1\noutput = 1\noutptu = 2', r"line 4: prices.'a:b', outptu: unknown"),
        ('[prices."a:b"]\ninput = 1\noutput = 1\ntiers = [{ input = 2, output = 2 }]', r"line 4: .*tiers: each tier"),
        ('[prices."a:b"]\ninput = 1\noutput = 1\ntiers = 5', r"line 4: .*tiers: must be a list of tables"),
        ("[prices.my-model]\ninput = 1\noutput = 1", r"line 1: prices.'my-model': names no model"),
        (
            '[prices."a:b@batch"]\ninput = 1\noutput = 1\n[prices."a:b"]\ncache_write_1h = 1\noutput = 1\ninput = 1\n'
            "cache_write = -1",
            r"line 8: prices.'a:b', cache_write: ",
        ),
        ("prices = 3", r"`prices` must be a table"),
        ('[prices]\n"a:b" = 3', r"line 2: prices.'a:b': must be a table with input and output"),
        ('[prices."a:b"\n', r"line 1"),
    ],
)
def test_a_bad_entry_is_an_error_that_names_the_line_and_the_key(tmp_path, body, message):
    with pytest.raises(ConfigError, match=message):
        read_table(write(tmp_path, body))
