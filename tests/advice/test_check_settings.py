"""What to be silent about, and what somebody vouches for: in outlay.toml and on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from outlay.advice import Settings, read_settings
from outlay.errors import ConfigError


def test_both_places_count(tmp_path: Path):
    """A file for good, the command line for once."""
    (tmp_path / "outlay.toml").write_text('[check]\nsilence = ["dearest-model"]\nholds = ["trace-and-alerts"]\n')
    found = read_settings(tmp_path).also(["judge-family:panel"], ["resumable"])
    assert found == Settings(
        frozenset({"dearest-model", "judge-family:panel"}), frozenset({"trace-and-alerts", "resumable"})
    )


def test_no_file_and_no_section_is_nothing(tmp_path: Path):
    """Prices may stand there alone."""
    assert read_settings(tmp_path) == Settings()
    (tmp_path / "outlay.toml").write_text("[timeouts]\ntotal = 60\n")
    assert read_settings(tmp_path) == Settings()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[check]\nsilence = ["dearest-modle"]\n', "use dearest-model"),
        ('[check]\nholds = ["debate-rounds"]\n', "one of caps, budget"),
        ('[check]\nsilence = "dearest-model"\n', 'write silence = ["dearest-model"]'),
        ("[check]\nquiet = true\n", "one of silence, holds"),
        ("check = 3\n", "write [check]"),
        ("[check\n", "cannot read"),
    ],
)
def test_what_silences_nothing_is_an_error_that_names_the_right_word(tmp_path: Path, text: str, said: str):
    """A typo would leave somebody believing that nothing is wrong."""
    (tmp_path / "outlay.toml").write_text(text)
    with pytest.raises(ConfigError) as error:
        read_settings(tmp_path)
    assert said in f"{error.value}"
    assert "outlay.toml" in f"{error.value}"
