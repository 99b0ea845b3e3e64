"""Sizes of pictures and documents, from hand-made headers."""

from __future__ import annotations

import struct

import pytest

from outlay.models.media import image_size, pdf_pages

JPEG = (
    b"\xff\xd8\xff\xe0"
    + struct.pack(">H", 16)
    + b"JFIF\0"
    + bytes(9)
    + b"\xff\xff\xc2"
    + struct.pack(">HBHH", 17, 8, 480, 640)
    + bytes(20)
)


@pytest.mark.parametrize(
    ("data", "size"),
    [
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", 640, 480), (640, 480)),
        (b"GIF89a" + struct.pack("<HH", 640, 480), (640, 480)),
        (JPEG, (640, 480)),
        (b"RIFF\0\0\0\0WEBPVP8 " + bytes(10) + struct.pack("<HH", 640, 480), (640, 480)),
        (b"RIFF\0\0\0\0WEBPVP8L" + bytes(4) + b"\x2f" + struct.pack("<I", 639 | 479 << 14) + bytes(9), (640, 480)),
        (b"RIFF\0\0\0\0WEBPVP8X" + bytes(8) + b"\x7f\x02\0" + b"\xdf\x01\0", (640, 480)),
        (b"RIFF\0\0\0\0WEBPxxxx" + bytes(20), None),
        (b"\xff\xd8\xff\xe0", None),
        (b"\xff\xd8" + b"\xff\xe0\0\0" * 5, None),
        (b"\x89PNG\r\n\x1a\n", None),
        (b"", None),
    ],
)
def test_the_size_of_a_picture(data: bytes, size: tuple[int, int] | None) -> None:
    """Width and height, or None for a header that cannot be read."""
    assert image_size(data) == size


def test_the_pages_of_a_document() -> None:
    """Pages are counted where they can be seen; a compressed structure is unknown, not empty."""
    assert pdf_pages(b"%PDF-1.4 /Type /Pages /Count 2 ... /Type /Page ... /Type/Page ...") == 2
    assert pdf_pages(b"%PDF-1.7 /Type /ObjStm ...") is None
    assert pdf_pages(b"%PDF-1.7 /Type /ObjStm ... /Count 12") == 12
    assert pdf_pages(b"no document") is None
