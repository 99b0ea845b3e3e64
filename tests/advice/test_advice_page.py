"""docs/advice.md is drawn from the tables that the commands go by."""

from __future__ import annotations

import importlib.util
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_page_is_what_the_tables_say():
    """`make docs` writes it anew."""
    spec = importlib.util.spec_from_file_location("advice_doc", ROOT / "scripts" / "advice_doc.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (ROOT / "docs" / "advice.md").read_text("utf-8") == module.page()
