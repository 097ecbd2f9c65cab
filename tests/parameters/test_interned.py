"""One object for each key of a class."""

from __future__ import annotations

import copy
import gc
import weakref

import pytest

from mtkparams._interned import Interned


class Name(Interned):
    text: str

    @staticmethod
    def of(text: str) -> Name:
        return Name._interned(text, lambda: {"text": text})


class Pair(Interned):
    first: Name

    @staticmethod
    def of(text: str) -> Pair:
        return Pair._interned(text, lambda: {"first": Name.of(text)})


def test_equal_keys_give_one_object_and_others_another():
    assert Name.of("x") is Name.of("x")
    assert Name.of("x") is not Name.of("y")
    assert Name.of("x").text == "x"


def test_each_class_has_its_own():
    assert isinstance(Pair.of("x"), Pair)
    assert isinstance(Name.of("x"), Name)


def test_attributes_may_be_interned_too():
    assert Pair.of("x").first is Name.of("x")


def test_copies_are_the_object_itself():
    name = Name.of("x")
    assert copy.copy(name) is name
    assert copy.deepcopy(name) is name


def test_each_object_has_a_memo_of_its_own():
    x, y = Name.of("x"), Name.of("y")
    x.memo["known"] = 1
    assert Name.of("x").memo == {"known": 1}
    assert not y.memo


def test_attributes_are_made_once():
    made = []
    objects = [Name._interned("z", lambda: made.append(None) or {"text": "z"}) for _ in range(2)]
    assert objects[0] is objects[1]
    assert len(made) == 1


def test_an_object_goes_with_its_last_user():
    name = Name.of("only here")
    gone = weakref.ref(name)
    del name
    gc.collect()
    assert gone() is None


def test_the_class_is_not_called():
    with pytest.raises(TypeError, match=r"Name objects are made by Name\.of"):
        Name()
