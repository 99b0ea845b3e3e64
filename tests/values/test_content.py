"""Pictures and files: what they are made of, and what a slip is answered with."""

from pathlib import Path
from typing import Any

import pytest

from outlay import File, Image

PNG = b"\x89PNG\r\n\x1a\n" + bytes(16)


def test_the_type_of_a_picture_follows_from_its_bytes() -> None:
    """PNG, JPEG, GIF and WebP are told by how they begin; anything else must say what it is."""
    found = [Image(data).media_type for data in (PNG, b"\xff\xd8\xff\xe0", b"GIF89a", b"RIFF0000WEBPVP8 ")]
    assert found == ["image/png", "image/jpeg", "image/gif", "image/webp"]
    with pytest.raises(ValueError, match="media_type="):
        Image(b"neither")


def test_files_are_read_with_the_type_that_their_name_says(tmp_path: Path) -> None:
    """`open` reads contents, name and type at once."""
    (tmp_path / "a.pdf").write_bytes(b"%PDF-1.4")
    (tmp_path / "b.png").write_bytes(PNG)
    file = File.open(tmp_path / "a.pdf")
    assert (file.data, file.name, file.media_type) == (b"%PDF-1.4", "a.pdf", "application/pdf")
    assert Image.open(tmp_path / "b.png").data == PNG


def test_contents_come_from_one_place() -> None:
    """None, or two, is refused."""
    for wrong in ({}, {"data": PNG, "url": "https://example.test/x"}):
        with pytest.raises(ValueError, match="needs"):
            Image(**wrong)
        with pytest.raises(ValueError, match="needs"):
            File(**wrong)


@pytest.mark.parametrize("kind", [Image, File])
def test_a_path_or_an_address_in_the_place_of_the_contents_names_the_right_call(kind: Any) -> None:
    """The slip is answered with the line to write."""
    with pytest.raises(ValueError, match=r"write (Image|File)\.open\('cat\.png'\)"):
        kind("cat.png")
    with pytest.raises(ValueError, match=r"write (Image|File)\(url='https://example\.test/cat\.png'\)"):
        kind("https://example.test/cat.png")
    with pytest.raises(ValueError, match="takes bytes, not int"):
        kind(3)
