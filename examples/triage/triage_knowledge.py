"""The help articles as a searchable library: SQLite FTS5 in memory, built once from the folder of articles.

An article is a Markdown file: its name is the id that replies cite, its first line the title, its
paragraphs the passages. Ranking is bm25 over Porter stems; the title counts twice, since it says what a
passage is about.
"""

from __future__ import annotations

import re
import sqlite3
import threading
import weakref
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Final

from triage_text import plain_words, stem
from triage_types import Passage

ARTICLES: Final = Path(__file__).with_name("articles")

MAX_TERMS: Final = 40
"""Words of one query, before synonyms. SQLite's expression tree has a depth limit, and more words say less."""

_TITLE_WEIGHT: Final = 2.0
_TEXT_WEIGHT: Final = 1.0
_SPACE: Final = re.compile(r"\s+")

STOPWORDS: Final = frozenset(
    """a about after again ago all also am an and any anything are as at be because been before but
    by can could day days did do does done evening everything for friday from get getting go going
    got had has have he hello help her here hi him his how i if in into is it its just know last
    like many may me monday month months more morning most much my need night no not nothing now of
    on or our out please pound pounds really said saturday say says she should since so some something still
    sunday than thank thanks that the their them then there these they thing things this through
    thursday time times to today too try trying tuesday up use very want was we wednesday week weeks
    were what when where which while who why will with would yes yesterday yet you your""".split()  # noqa: SIM905
)
"""Words that nearly every message has; they would rank passages by chance. "top up" survives by its "top"."""


SYNONYMS: Final = (
    ("fee", "charge", "cost"),
    ("decline", "refuse", "reject", "fail"),
    ("stolen", "steal", "stole", "theft", "rob"),
    ("close", "delete", "terminate"),
    ("delivery", "shipping", "deliver"),
    ("recognise", "unknown", "strange", "unauthorised"),
    ("send", "sent"),
    ("duplicate", "twice", "double"),
    ("withdrawal", "withdraw", "withdrew"),
    ("salary", "wage", "payroll", "paycheck"),
    ("address", "move", "house"),
    ("replacement", "replace"),
)
"""Words that articles and customers use for one thing, compared by stem."""

_GROUP: Final = {stem(word): group for group in SYNONYMS for word in group}


class ArticleError(ValueError):
    """An article cannot be used; the text names the file and what to mend."""


class Library:
    """The passages of all articles. Safe to share between threads: one connection, one lock around each
    query.

    The lock is held for well under a millisecond, so tools that run in threads do not queue noticeably.
    """

    def __init__(self, articles: Iterable[tuple[str, str, list[str]]]) -> None:
        """Articles as (id, title, passages)."""
        self._passages: dict[str, list[str]] = {}
        self._titles: dict[str, str] = {}
        self._lock = threading.Lock()
        self._db = sqlite3.connect(":memory:", check_same_thread=False)
        weakref.finalize(self, self._db.close)  # a library lives as long as somebody reads in it
        self._db.execute(
            "CREATE VIRTUAL TABLE passages USING fts5"
            "(source UNINDEXED, title, text, tokenize = 'porter unicode61 remove_diacritics 2')"
        )
        for source, title, texts in articles:
            self._titles[source] = title
            self._passages[source] = texts
            self._db.executemany(
                "INSERT INTO passages (source, title, text) VALUES (?, ?, ?)",
                [(source, title, text) for text in texts],
            )
        self._db.commit()

    @classmethod
    def from_folder(cls, folder: Path = ARTICLES) -> Library:
        """Reads every *.md file. Raises ArticleError if there is none, or one has no title or no passage."""
        return cls(_read_articles(folder))

    @property
    def sources(self) -> list[str]:
        """Ids of the articles, in alphabetical order."""
        return sorted(self._passages)

    def __contains__(self, source: object) -> bool:
        return source in self._passages

    def title(self, source: str) -> str:
        """The article's title; KeyError for an unknown id."""
        return self._titles[source]

    def article(self, source: str) -> list[Passage]:
        """The whole article in reading order; KeyError for an unknown id."""
        return [Passage(source=source, text=text) for text in self._passages[source]]

    def search(self, query: str, limit: int = 4) -> list[Passage]:
        """Up to `limit` passages that share a word with `query`, best first; empty if none does.

        Any string is a query: it is cut into words, so no character of it is FTS5 syntax.
        """
        expression = fts_query(query)
        if not expression or limit < 1:
            return []
        with self._lock:
            rows = self._db.execute(
                "SELECT source, text FROM passages WHERE passages MATCH ? "
                "ORDER BY bm25(passages, 0, ?, ?), rowid LIMIT ?",
                (expression, _TITLE_WEIGHT, _TEXT_WEIGHT, limit),
            ).fetchall()
        return [Passage(source=source, text=text) for source, text in rows]

    def contains(self, passage: Passage) -> bool:
        """Whether the passage's text stands in the article that it names; spaces and case do not count."""
        wanted = _flat(passage.text)
        return bool(wanted) and any(wanted in _flat(text) for text in self._passages.get(passage.source, []))


@cache
def library() -> Library:
    """The shipped articles, read on first use."""
    return Library.from_folder()


def content_words(text: str) -> list[str]:
    """The words of `text` that say what it is about, each once, in order."""
    return list(dict.fromkeys(word for word in plain_words(text) if word not in STOPWORDS and not word.isdigit()))


def key_words(text: str) -> list[str]:
    """The content words that a search is made of: all of them, or both ends of a long story, where the point is."""
    words = content_words(text)
    half = MAX_TERMS // 2
    return words if len(words) <= MAX_TERMS else words[:half] + words[-half:]


def content_stems(text: str) -> set[str]:
    """Stems of the content words; synonyms count as one, amounts and dates do not count."""
    found = {stem(word) for word in content_words(text)}
    return {stem(_GROUP[each][0]) if each in _GROUP else each for each in found}


def fts_query(text: str) -> str:
    """An FTS5 expression that matches passages with any content word of `text`; empty if it has none.

    Each word is a quoted string of letters and digits, so quotes, operators and column filters in the text
    are inert.
    """
    words = key_words(text)
    terms = dict.fromkeys(term for word in words for term in (word, *_GROUP.get(stem(word), ())))
    return " OR ".join(f'"{term}"' for term in terms)


def _read_articles(folder: Path) -> Iterator[tuple[str, str, list[str]]]:
    paths = sorted(folder.glob("*.md"))
    if not paths:
        raise ArticleError(f"no article (*.md) in {folder}; the example ships its own in {ARTICLES.name}/")
    for path in paths:
        blocks = [_SPACE.sub(" ", block).strip() for block in path.read_text(encoding="utf-8").split("\n\n")]
        head, texts = blocks[0], [block for block in blocks[1:] if block]
        if not head.startswith("# ") or not texts:
            raise ArticleError(f"{path.name}: starts with '# Title', a blank line and at least one paragraph")
        yield path.stem, head.removeprefix("# "), texts


def _flat(text: str) -> str:
    return _SPACE.sub(" ", text).strip().casefold()
