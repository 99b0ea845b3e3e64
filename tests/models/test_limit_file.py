"""Limits and time-outs out of `outlay.toml`."""

from __future__ import annotations

from pathlib import Path

import pytest

from outlay.errors import ConfigError
from outlay.models.limit_file import find_limits, find_timeouts
from outlay.policies.lane import LaneLimits
from outlay.protocols.transport import Timeouts


def test_a_file_says_what_a_model_and_what_a_provider_allows(tmp_path: Path) -> None:
    """By model or by provider; what is not said does not limit."""
    (tmp_path / "outlay.toml").write_text(
        '[limits."anthropic:claude-haiku-4-5"]\nrequests_per_minute = 50\nconcurrency = 8\n'
        "[limits.openai]\ntokens_per_minute = 30000\n"
        "[timeouts]\nsilence = 30\n"
    )
    assert find_limits(tmp_path) == {
        "anthropic:claude-haiku-4-5": LaneLimits(requests_per_minute=50, concurrency=8),
        "openai": LaneLimits(tokens_per_minute=30000),
    }
    assert find_timeouts(tmp_path) == Timeouts(silence=30)


def test_without_a_file_nothing_is_limited(tmp_path: Path) -> None:
    """And the time-outs are the defaults."""
    assert (find_limits(tmp_path), find_timeouts(tmp_path)) == ({}, Timeouts())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[limits.openai]\nrequests = 5", "requests is unknown"),
        ("[limits.openai]\nconcurrency = 0", "a number above 0, not 0"),
        ("[limits.openai]\nconcurrency = true", "not True"),
        ("[limits.openai]\nrequests_per_minute = inf", "not inf"),
        ("[limits]\nopenai = 5", "is a table"),
        ("limits = 5", "limits is a table"),
        ("[timeouts]\nread = 5", "one of connect"),
        ("[timeouts]\ntotal = '5'", "not '5'"),
        ("[timeouts", "cannot read"),
    ],
)
def test_what_is_wrong_is_named(text: str, said: str, tmp_path: Path) -> None:
    """The file, the key, and the line to write."""
    (tmp_path / "outlay.toml").write_text(text)
    read = find_limits if "limits" in text.partition("=")[0] else find_timeouts
    with pytest.raises(ConfigError, match=r"outlay\.toml") as caught:
        read(tmp_path)
    assert said in str(caught.value)
