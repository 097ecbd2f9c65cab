"""How text is written: counts, names in a message, numbers, tables."""

from __future__ import annotations

import numpy as np
import pytest

from mtkparams import _text

COUNTED = [(1, "value", "1 value"), (0, "value", "0 values"), (3, "entry", "3 entries")]


@pytest.mark.parametrize(("count", "noun", "text"), COUNTED)
def test_counted(count, noun, text):
    assert _text.counted(count, noun) == text


def test_names_in_a_message():
    assert _text.quoted([]) == ""
    assert _text.quoted("ab") == "'a', 'b'"
    assert _text.quoted("abcdefg") == "'a', 'b', 'c', 'd', 'e', 'f', and 1 more"
    assert _text.listed("abc", most=2, between="; ") == "a; b; and 1 more"


NUMBERS = {
    "integer": (123456789, "123456789"),
    "truth value": (np.bool_(True), "True"),
    "integer of NumPy": (np.int32(7), "7"),
    "float": (0.1 + 0.2, "0.3"),
    "float of NumPy": (np.float32(1e10), "1e+10"),
    "long double": (np.longdouble(1.5), "1.5"),
    "complex": (1 + 2.5j, "1+2.5j"),
    "nan": (np.nan, "nan"),
}


@pytest.mark.parametrize(("x", "text"), NUMBERS.values(), ids=NUMBERS)
def test_number(x, text):
    assert _text.number(x) == text


def test_digits():
    assert _text.number(np.pi, 3) == "3.14"


WIDTHS = {"ascii": ("abc", 3), "wide": ("兎兎", 4), "combining": ("é", 1), "full": ("ＡＢ", 4)}  # noqa: RUF001


@pytest.mark.parametrize(("text", "columns"), WIDTHS.values(), ids=WIDTHS)
def test_width(text, columns):
    assert _text.width(text) == columns
    assert _text.width(_text.padded(text, 6)) == 6
    assert _text.padded(text, 6, right=True).endswith(text)


def test_cut():
    assert _text.cut("abcdef", 4) == "abc…"
    assert _text.cut("兎兎兎", 4) == "兎…"
    assert _text.cut("abc", 3) == "abc"
    assert _text.shortened("x" * 50) == "'" + "x" * 38 + "…"


def test_columns_stand_below_one_another_with_wide_names():
    rows = [("name", "value", "unit"), ("兎", "1.5", "1/s"), ("山猫の数", "20", "")]
    lines = _text.text_table(rows, right=(1,))
    assert lines == [
        "name      value  unit",
        "兎          1.5  1/s",
        "山猫の数     20",
    ]


def test_a_table_in_fewer_columns():
    assert _text.text_table([("abcdef", "x")], widths=[4, 1]) == ["abc…  x"]


def test_rules():
    assert _text.ruled(["a  b", "1  2"]) == ["----", "a  b", "----", "1  2", "----"]


def test_html_is_escaped():
    table = _text.html_table(["<a>"], [[_text.html_cell("x & y", tip='"z"')]])
    assert "&lt;a&gt;" in table
    assert 'title="&quot;z&quot;">x &amp; y</td>' in table
    assert "<thead>" not in _text.html_table([], [])
