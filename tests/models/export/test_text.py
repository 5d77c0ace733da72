import gemmi
import pytest
from biotite.structure.io.pdbx import CIFBlock, CIFCategory, CIFFile

from models.export.text import block_name, cif_text, one_line

HOSTILE = [
    "a\nb", "a\r\nATOM", "$$$$", "a\x85b", "a\u2028b", "\x00", "A" * 500, "", "  ", "é ü", "x\n> <y>\n",
    "\ud800", "data_x",
]  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_one_line_has_no_way_out(name):
    line = one_line(name)
    assert len(line) <= 80
    assert "$" not in line
    assert len(line.splitlines()) <= 1
    assert one_line(line) == line


def test_one_line_keeps_a_plain_name():
    assert one_line("plain name-1") == "plain name-1"


@pytest.mark.parametrize("name", HOSTILE)
def test_block_names_are_plain_and_differ(name):
    first = block_name(name, ())
    second = block_name(name, [first.upper()])
    assert first and first.isascii() and not set(first) & set(" \n\t#'\"")
    assert second.lower() != first.lower()


def test_block_without_a_name_gets_the_fallback():
    assert block_name("", (), "backbone") == "backbone"


@pytest.mark.parametrize("text", ["data_x", "#", "é", "plain", "_tag", "_it's", 'it\'s "both"', "?", ";", "a b", "'"])
def test_cif_text_is_read_back(text):
    file = CIFFile({"x": CIFBlock({"a": CIFCategory({"n": [1, 2], "id": [cif_text(text)] * 2, "end": [3, 4]})})})
    (block,) = gemmi.cif.read_string(file.serialize())
    rows = [[gemmi.cif.as_string(value).strip() for value in row] for row in block.find("_a.", ["n", "id", "end"])]
    assert rows == [["1", text, "3"], ["2", text, "4"]]
