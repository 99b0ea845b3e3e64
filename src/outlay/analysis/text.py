"""Text that a model, a tool or a user wrote, made fit to be shown in a terminal."""

from __future__ import annotations

import re

# In order of the alternatives: whole escape sequences (strings such as window titles first, up to their end or the
# end of the line), lone control characters of both sets except newline and tab, marks that reorder or hide text
# (bidirectional controls, invisible tags), line ends that only some programs know, and halves of characters.
_UNFIT = re.compile(
    "(?:\x1b[\\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c\n]*(?:\x07|\x1b\\\\|\x9c)?"
    "|(?:\x1b\\[|\x9b)[0-?]*[ -/]*[@-~]?"
    "|\x1b[ -/]*[0-~]?"
    "|[\x00-\x08\x0b-\x1f\x7f-\x9f]"
    "|[\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\U000e0000-\U000e007f]"
    "|[\ud800-\udfff]"
)
_SPACE = re.compile(r"\s+")


def plain(text: str) -> str:
    """`text` without terminal controls and bidirectional overrides; newlines and tabs stay."""
    return _UNFIT.sub("", text)


def one_line(text: str, width: int = 80) -> str:
    """`plain(text)` on one line of at most `width` characters, cut with an ellipsis."""
    # Only a little more than is shown is looked at: the text may be megabytes long.
    line = _SPACE.sub(" ", plain(text[: width * 8])).strip()
    return line if len(line) <= width and len(text) <= width * 8 else line[: width - 1].rstrip() + "…"


#: What would be markup in Markdown: also what GitHub makes of words (mentions, numbers of issues).
_MARKUP = re.compile(r"([\\`*_{}\[\]|~#]|^[-+>]|(?<=^\d)[.)](?=\s))")


def markdown(text: str) -> str:
    """`text` as Markdown shows it: on one line, no markup, no tags."""
    line = " ".join(plain(text).split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MARKUP.sub(r"\\\1", line)


def code(text: str, width: int = 80) -> str:
    """`text` as a code span of Markdown, also in a table: nobody is mentioned in it, and nothing is a link."""
    return f"`{one_line(text, width).replace('`', chr(39)).replace('|', chr(0xA6)) or ' '}`"
