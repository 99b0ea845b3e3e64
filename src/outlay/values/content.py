"""What a message is made of: text, images, files, tool calls and their results, and provider-only blocks."""

from __future__ import annotations

import mimetypes
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Text:
    text: str


@dataclass(frozen=True, slots=True)
class Image:
    """A picture by its bytes or its address. `media_type` is guessed from the bytes where it is not given."""

    data: bytes | None = field(default=None, repr=False)
    url: str | None = None
    media_type: str | None = None

    def __post_init__(self) -> None:
        _must_be_bytes("Image", self.data)
        if (self.data is None) == (self.url is None):
            raise ValueError("an Image needs either data= or url=")
        if self.data is not None and self.media_type is None:
            object.__setattr__(self, "media_type", _image_type(self.data))

    @staticmethod
    def open(path: str | Path) -> Image:
        """Read a picture from disk."""
        return Image(data=Path(path).read_bytes())


@dataclass(frozen=True, slots=True)
class File:
    """A document by its bytes, its address, or the id of one uploaded to the provider."""

    data: bytes | None = field(default=None, repr=False)
    url: str | None = None
    file_id: str | None = None
    name: str = "file"
    media_type: str = "application/pdf"

    def __post_init__(self) -> None:
        _must_be_bytes("File", self.data)
        if sum(x is not None for x in (self.data, self.url, self.file_id)) != 1:
            raise ValueError("a File needs exactly one of data=, url= and file_id=")

    @staticmethod
    def open(path: str | Path) -> File:
        """Read a document from disk; its type follows from its name."""
        path = Path(path)
        kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        return File(data=path.read_bytes(), name=path.name, media_type=kind)


@dataclass(frozen=True, slots=True)
class ToolCall:
    """The model asks for a tool. `arguments` is the JSON text as the model wrote it: untrusted, maybe invalid."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a tool gave, as text for the model."""

    call_id: str
    name: str
    content: str
    is_error: bool = False


@dataclass(frozen=True, slots=True)
class ProviderBlock:
    """A block that only the provider `dialect` understands (signed thinking, encrypted reasoning, server tools).

    `json` is sent back exactly as it came, to that provider only; `text` is what a person may read of it.
    """

    dialect: str
    kind: str
    json: str
    text: str = ""


Part: TypeAlias = Text | Image | File | ToolCall | ToolResult | ProviderBlock

_MAGIC = (
    (b"\x89PNG", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
)


def _must_be_bytes(kind: str, data: object) -> None:
    """A path or an address in the place of the contents is the likely slip."""
    if data is None or isinstance(data, bytes):
        return
    if isinstance(data, str | Path):
        text = str(data)
        right = f"{kind}(url={text!r})" if text.startswith(("http://", "https://")) else f"{kind}.open({text!r})"
        raise ValueError(f"{kind}({text!r}) is not its contents; write {right}")
    raise ValueError(f"{kind} takes bytes, not {type(data).__name__}")


def _image_type(data: bytes) -> str:
    for magic, kind in _MAGIC:
        if data.startswith(magic):
            return kind
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    raise ValueError("cannot tell the picture's type from its bytes; say media_type='image/…'")
