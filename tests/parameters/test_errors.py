"""Every mistake in a call, by the text of its error: which name, what was found, what to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest
from helpers import everything, spring

import mtkparams as mtk
from mtkparams import errors

Call = Callable[[Any], Any]
ANY: Any = lambda x: x  # hides a wrong argument from the type checker


def p() -> mtk.MTKParameters:
    return mtk.parameters(everything())


# A call on `p`, its error, and what the message must hold.
CALLS: dict[str, tuple[Call, type[Exception], list[str]]] = {
    # Names
    "misspelled": (lambda p: p["alpa"], errors.UnknownNameError, ["'alpa'", "Did you mean 'alpha'?"]),
    "without its namespace": (
        lambda p: p["area"], errors.UnknownNameError, ["'area'", "Did you mean 'tank.area'"]
    ),
    "in another namespace": (
        lambda p: p["vat.k"], errors.UnknownNameError, ["'vat.k'", "Did you mean 'tank.k'"]
    ),
    "nothing like it": (
        lambda p: p["x" * 9], errors.UnknownNameError, ["'xxxxxxxxx'", "`p.names()` lists them"]
    ),
    "namespace": (
        lambda p: p["tank"], errors.UnknownNameError, ["'tank' is a namespace", "'tank.k', 'tank.area'"]
    ),
    "misspelled array of a Module": (
        lambda p: p["spring.stifness"], errors.UnknownNameError, ["Did you mean 'spring.stiffness'"]
    ),
    "initial value": (
        lambda p: p[mtk.Initial("y")], errors.UnknownNameError, ["'Initial(y)'", "Did you mean 'Initial(x)'"]
    ),
    "attribute": (lambda p: p.view.alpa, errors.UnknownNameError, ["'alpa'", "Did you mean 'alpha'"]),
    "attribute of a namespace": (
        lambda p: p.view.tank.kk, errors.UnknownNameError, ["'kk' among the names in 'tank'", "'k'"]
    ),
    "number": (lambda p: p[0], errors.KindError, ["Names are strings", "got 0"]),
    "portion": (
        lambda p: p[mtk.Tunable], errors.KindError, ["mtk.Tunable is a portion", "mtk.canonicalize(mtk.Tunable, p)"]
    ),
    "number in a list": (
        lambda p: mtk.canonicalize(ANY([3]), p), errors.UnknownNameError, ["A name is a string", "3 of type int"]
    ),
    "no list": (lambda p: mtk.canonicalize(ANY(3), p), errors.KindError, ["a portion, a name, or a list", "got 3"]),
    # Parts of arrays
    "out of range": (
        lambda p: p["tau[3]"], errors.UnknownNameError, ["No entry [3] in 'tau'", "shape (3,)", "start at 0"]
    ),
    "too many indices": (
        lambda p: p["tau[0,1]"], errors.UnknownNameError, ["No entry [0, 1] in 'tau'", "shape (3,)"]
    ),
    "slice of a number": (
        lambda p: p["alpha[0:1]"], errors.UnknownNameError, ["No entry [0:1] in 'alpha'", "shape ()"]
    ),
    "no integer": (
        lambda p: p["tau[a]"], errors.UnknownNameError, ["'tau[a]'", "'a' is neither an integer nor a slice"]
    ),
    "no index": (lambda p: p["tau[]"], errors.UnknownNameError, ["'tau[]'", "neither an integer nor"]),
    "entry of a text": (lambda p: p["label[0]"], errors.UnknownNameError, ["'label' is not an array"]),
    "entry of a dependent one": (
        lambda p: p["gain[0]"], errors.UnknownNameError, ["No entry [0] in 'gain'", "shape ()"]
    ),
    # Shapes
    "number for an array": (
        lambda p: p.set({"tau": 1.0}), errors.ShapeError, ["'tau' has shape (3,)", "got ()", "jnp.full((3,), ...)"]
    ),
    "another length": (
        lambda p: p.set({"tau": jnp.ones(2)}), errors.ShapeError, ["'tau' has shape (3,)", "got (2,)"]
    ),
    "another shape of that size": (
        lambda p: p.set({"f": jnp.ones((3, 2))}), errors.ShapeError, ["'f' has shape (2, 3)", "got (3, 2)"]
    ),
    "array for an entry": (
        lambda p: p.set({"tau[1]": jnp.ones(1)}), errors.ShapeError, ["'tau[1]' has shape ()", "got (1,)"]
    ),
    "array in a Module": (
        lambda p: p.set({"spring": spring([1.0])}),
        errors.ShapeError,
        ["'spring.stiffness' has shape (2,)", "got (1,)"],
    ),
    "short vector": (
        lambda p: mtk.replace(mtk.Initials, p, [1.0]),
        errors.ShapeError,
        ["mtk.Initials takes a vector of 3 entries", "Initial(x), Initial(tank.h)[0]", "got shape (1,)"],
    ),
    "vector for a list": (
        lambda p: mtk.replace(["alpha"], p, [1.0, 2.0]),
        errors.ShapeError,
        ["the list of 1 name takes a vector of 1 entry (alpha)", "got shape (2,)"],
    ),
    "number for a vector": (
        lambda p: mtk.replace(["alpha"], p, 1.0), errors.ShapeError, ["1 entry", "got shape ()"]
    ),
    # Kinds
    "text for a number": (
        lambda p: p.set({"alpha": "big"}), errors.KindError, ["'alpha' is a number or an array", "got str 'big'"]
    ),
    "nothing for a number": (
        lambda p: p.set({"alpha": None}), errors.KindError, ["'alpha'", "got NoneType"]
    ),
    "no rectangle": (
        lambda p: p.set({"f": [[1.0], [1.0, 2.0]]}), errors.KindError, ["'f' is a number or an array"]
    ),
    "too large for any integer": (
        lambda p: p.set({"order": 2**70}), errors.KindError, ["'order'", "got int 1180591620717411303424"]
    ),
    "complex for real": (
        lambda p: p.set({"alpha": 1j}), errors.KindError, ["'alpha' is real", "Take the real part"]
    ),
    "fraction for an integer": (
        lambda p: p.set({"order": 1.5}, cast=True), errors.KindError, ["'order' is an integer"]
    ),
    "number for text": (
        lambda p: p.set({"label": 3}), errors.KindError, ["'label' is text", "got int 3"]
    ),
    "number for a function": (
        lambda p: p.set({"curve": 3}), errors.KindError, ["'curve' is a function", "got int 3"]
    ),
    "number for a key": (
        lambda p: p.set({"seed": 3}), errors.KindError, ["'seed' holds a random key, got numbers"]
    ),
    "key for a number": (
        lambda p: p.set({"alpha": jax.random.key(0)}), errors.KindError, ["'alpha' holds numbers, got a random key"]
    ),
    "key of another kind": (
        lambda p: p.set({"seed": jax.random.key(0, impl="rbg")}), errors.KindError, ["'seed'", "rbg"]
    ),
    "another structure": (
        lambda p: p.set({"pair": {"w": [1.0, 2.0]}}),
        errors.KindError,
        ["'pair' is a dict of structure", "Give a value of the same structure"],
    ),
    "array for a setting": (
        lambda p: p.set({"spring": eqx.tree_at(lambda s: s.damping, spring(), jnp.ones(()))}),
        errors.KindError,
        ["'spring' has an array where its declaration has none"],
    ),
    "values without names": (lambda p: p.set([1.0, 2.0]), errors.KindError, ["p.set({'name': value})"]),
    "text in a vector": (
        lambda p: mtk.canonicalize("label", p), errors.KindError, ["'label' holds no numbers"]
    ),
    # Dependent parameters
    "dependent one set": (
        lambda p: p.set({"gain": 1.0}), errors.BoundParameterError, ["'gain'", "dependent", "Set those"]
    ),
    "dependent one in a vector": (
        lambda p: mtk.canonicalize(["gain"], p),
        errors.BoundParameterError,
        ["'gain'", "dependent", "Name the parameters that it reads"],
    ),
    "entry of a dependent one set": (
        lambda p: p.set({"gain[0]": 1.0}), errors.BoundParameterError, ["'gain[0]'", "dependent"]
    ),
    # Overlaps
    "name and entry": (
        lambda p: p.set({"tau": [1.0, 2.0, 3.0], "tau[1]": 5.0}),
        errors.OverlapError,
        ["'tau' and 'tau[1]' name the same entry", "Keep one"],
    ),
    "two slices": (
        lambda p: mtk.canonicalize(["tau[0:2]", "tau[1:]"], p), errors.OverlapError, ["'tau[0:2]' and 'tau[1:]'"]
    ),
    "two spellings": (
        lambda p: p.set({"Initial(x)": 1.0, mtk.Initial("x"): 2.0}),
        errors.OverlapError,
        ["'Initial(x)' is named twice"],
    ),
    "from both ends": (
        lambda p: p.set({"tau[2]": 1.0, "tau[-1]": 2.0}), errors.OverlapError, ["'tau[2]' and 'tau[-1]'"]
    ),
    "Module and its array": (
        lambda p: mtk.canonicalize(["spring", "spring.stiffness[0]"], p),
        errors.OverlapError,
        ["'spring.stiffness' and 'spring.stiffness[0]'"],
    ),
    "name and portion": (
        lambda p: mtk.canonicalize([mtk.Tunable, "alpha"], p), errors.OverlapError, ["'alpha' is named twice"]
    ),
    # Portions
    "absent portion": (
        lambda p: mtk.replace(mtk.Caches, p, []), errors.PortionError, ["mtk.Caches is absent", "it has mtk.Tunable"]
    ),
    "read from the other part": (
        lambda p: mtk.partition(p, mtk.Tunable)[0]["order"],
        errors.PortionError,
        ["'order'", "mtk.Constants was partitioned away", "mtk.combine(free, rest)"],
    ),
    "written to the other part": (
        lambda p: mtk.partition(p, mtk.Tunable)[1].set({"alpha": 1.0}),
        errors.PortionError,
        ["mtk.Tunable", "partitioned away", "mtk.combine"],
    ),
    "dependent one of a part": (
        lambda p: mtk.partition(p, mtk.Tunable)[0]["gain"],
        errors.BoundParameterError,
        ["'gain' is a dependent parameter", "where a binding means nothing", "mtk.combine"],
    ),
    "filter of a part of a buffer": (
        lambda p: mtk.filter_spec(p, "alpha"),
        errors.KindError,
        ["'alpha' is a part of a buffer of 16 entries", "mtk.partition(p, 'alpha')"],
    ),
}  # fmt: skip


@pytest.fixture(autouse=True)
def no_type_checks():
    """As users run it: without beartype, which refuses some of these calls in words of its own."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.mark.parametrize(("call", "error", "texts"), CALLS.values(), ids=CALLS)
def test_texts(call, error, texts):
    with pytest.raises(error) as caught:
        call(p())
    for text in texts:
        assert text in str(caught.value)


VALUE_OF_A_NUMBER = {"fraction for an integer"}  # known when it runs, not when it is traced


@pytest.mark.parametrize(
    ("call", "error", "texts"),
    [case for name, case in CALLS.items() if name not in VALUE_OF_A_NUMBER],
    ids=[name for name in CALLS if name not in VALUE_OF_A_NUMBER],
)
def test_texts_where_they_are_traced(call, error, texts):
    with pytest.raises(error) as caught:
        jax.eval_shape(lambda p: jax.tree.leaves(call(p)), p())
    for text in texts:
        assert text in str(caught.value)


BASES = {
    errors.UnknownNameError: (KeyError, AttributeError),
    errors.ShapeError: (ValueError,),
    errors.KindError: (TypeError,),
    errors.BoundParameterError: (ValueError,),
    errors.OverlapError: (ValueError,),
    errors.CycleError: (ValueError,),
    errors.MissingValueError: (ValueError,),
    errors.NonFiniteError: (ValueError,),
    errors.OutOfBoundsError: (ValueError,),
    errors.PortionError: (ValueError,),
    errors.DeclarationError: (ValueError,),
}


@pytest.mark.parametrize("error", BASES)
def test_errors_are_also_those_of_python(error):
    assert issubclass(error, BASES[error])


def test_a_message_is_printed_as_it_is():
    # A KeyError prints the repr of its message, with quotes around and escapes inside.
    assert str(errors.UnknownNameError("No 'x'.\nTry 'y'.")) == "No 'x'.\nTry 'y'."
    assert str(errors.UnknownNameError()) == ""


def test_a_wrong_value_in_a_batch_is_found():
    batch = mtk.replace(mtk.Tunable, mtk.parameters({"tau": [1.0, 2.0]}), jnp.ones((3, 2)))
    text = r"'tau' has shape \(2,\), or \(3, 2\) with the batch in front, got \(4, 2\)"
    with pytest.raises(errors.ShapeError, match=text):
        batch.set({"tau": np.ones((4, 2))})
