"""What is shown of parameter objects, compared with the text that a reader should see."""

import enum
import html.parser
import importlib
import re
import time
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import mtkparams as mtk


class Mode(enum.Enum):
    FAST = 1


def rate(x):
    return x


@pytest.fixture(autouse=True)
def _terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")


def _contents():
    return importlib.import_module("mtkparams._parameters.show.contents")


def lines(text):
    """The lines of an expected table, without the indentation that it is written with."""
    return "\n".join(line[4:] for line in text.strip("\n").splitlines()).rstrip()


@pytest.fixture
def p():
    return mtk.parameters(
        {
            "alpha": mtk.Parameter(
                0.55, bounds=(0, None), unit="1/year", description="hare birth rate"
            ),
            "tau": mtk.Parameter([1.0, 2.0, 3.5], bounds=(0, 9), unit="s"),
            "gain": mtk.Parameter(bind=lambda p: 2 * p.alpha * p.tank.k),
            "tank.k": mtk.Parameter(12.25, tunable=False),
            "mode": mtk.Parameter(1.0, discrete=True),
            "order": 3,
            "label": "run 7",
            mtk.Initial("hare"): mtk.Parameter(30.0, unit="1000"),
        }
    )


# Text


def test_table(p):
    assert str(p) == lines("""
    MTKParameters: 4 tunable, 1 initial, 1 discrete, 2 constants, 1 nonnumeric, 1 bound
    name           value        unit    portion                bounds  description
    alpha           0.55        1/year  tunable                >= 0    hare birth rate
    tau            [1, 2, 3.5]  s       tunable                0 … 9
    gain           13.475               bound (alpha, tank.k)
    tank.k         12.25                constants
    mode            1                   discrete
    order           3                   constants
    label          'run 7'              nonnumeric
    Initial(hare)  30           1000    initials
    """)


def test_one_line(p):
    expected = (
        "MTKParameters(tunable=f64[4], initials=f64[1], discrete=(f64[1],), "
        "constants=(f64[1], i64[1]), 8 names)"
    )
    assert repr(p) == expected
    assert f"{[p]}" == f"[{expected}]"


def test_empty():
    assert str(mtk.MTKParameters()) == "MTKParameters: nothing"
    assert repr(mtk.MTKParameters()) == "MTKParameters()"
    assert mtk.describe(mtk.MTKParameters()) == []
    assert str(mtk.parameters({})) == "MTKParameters: nothing"


def test_columns_that_are_empty_everywhere_are_left_out():
    assert str(mtk.parameters({"k": 0.5, "n": 12})) == lines("""
    MTKParameters: 1 tunable, 1 constant
    name  value  portion
    k      0.5   tunable
    n     12     constants
    """)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.1 + 0.2, "0.3"),
        (123456.789, "123457"),
        (-1e-9, "-1e-09"),
        (20261123, "20261123"),
        (True, "True"),
        (1 + 2j, "1+2j"),
        (np.float32(0.1), "0.1"),
        (jnp.asarray(0.5, jnp.bfloat16), "0.5"),
        ([1.0, 2.5], "[1, 2.5]"),
        ([True, False], "[True, False]"),
        ([[1, 2], [3, 4]], "[[1, 2], [3, 4]]"),
        (np.linspace(0.1, 9.9, 100), "f64[100] 0.1 … 9.9"),
        (np.arange(10, dtype=np.int32), "i32[10] 0 … 9"),
        (np.ones((4, 5), np.float32), "f32[4,5] all 1"),
        (np.ones((8,), jnp.bfloat16), "bf16[8] all 1"),
        (np.arange(9) > 3, "bool[9] 5 true"),
        (np.arange(9) * 1j, "c128[9] |z| 0 … 8"),
        (np.zeros((0, 2)), "f64[0,2]"),
        ("run 7", "'run 7'"),
        ("line\nbreak\x1b[31m" + "x" * 60, r"'line\nbreak\x1b[31m" + "x" * 19 + "…"),
        (rate, "function rate"),
        (lambda x: x, "function <lambda>"),
        (Mode.FAST, "Mode.FAST"),
        ({"a": 1.0, "b": [1.0, 2.0]}, "dict, 3 numbers"),
        ({"a": 1.0}, "dict, 1 number"),
        (eqx.nn.Linear(2, 3, key=jax.random.key(0)), "Linear, 9 numbers"),
        (eqx.nn.Lambda(jnp.tanh), "Lambda"),
        (jax.random.key(0), "key<fry>[]"),
        (jax.random.split(jax.random.key(0), 3), "key<fry>[3]"),
    ],
)
def test_values(value, text):
    table = str(mtk.parameters({"x": value})).splitlines()
    start = table[1].index("value")
    assert table[2][start:].startswith(text + "  ")


def test_not_a_number_is_counted():
    p = mtk.parameters({"x": np.arange(9.0), "y": np.ones(7), "z": 1.0})
    p = jax.tree.map(lambda v: v.at[jnp.array([0, 3])].set(jnp.array([jnp.nan, jnp.inf])), p)
    p = jax.tree.map(lambda v: v.at[9:].set(jnp.nan), p)
    assert str(p) == lines("""
    MTKParameters: 17 tunable
    name  value                  portion
    x     f64[9] 1 … inf, 1 nan  tunable
    y     f64[7] all nan         tunable
    z     nan                    tunable
    """)


@pytest.mark.parametrize(
    ("bounds", "text"),
    [
        ((0, None), ">= 0"),
        ((None, 0), "<= 0"),
        ((0.0, 1e-3), "0 … 0.001"),
        ((None, None), ""),
        ((-np.inf, np.inf), ""),
        (([0, 1, 2], None), ">= [0, 1, 2]"),
        (([0, 0, 0], [5, 6, 7]), "0 … [5, 6, 7]"),
        (([-np.inf, 0, 0], 9), "[-inf, 0, 0] … 9"),
    ],
)
def test_bounds(bounds, text):
    start = [0.0, 1.0, 2.0] if text.startswith((">= [", "[")) else [0.0, 0.0, 0.0]
    p = mtk.parameters({"x": mtk.Parameter(start, bounds=bounds)})
    heads, row = str(p).splitlines()[1:]
    assert heads.endswith("bounds") == bool(text)
    assert row.endswith("tunable" if not text else f"tunable  {text}")


def test_long_bounds_are_cut():
    p = mtk.parameters({"x": mtk.Parameter(np.ones(9), bounds=(np.linspace(0, 0.8, 9), None))})
    assert ">= [0, …, 0.8]" in str(p)


@pytest.mark.parametrize("columns", [120, 80, 60, 40, 21, 5])
def test_no_line_is_longer_than_the_terminal(p, columns, monkeypatch):
    p = mtk.parameters(
        {
            "温度_of_the_reactor_at_the_start": mtk.Parameter(1.0, description="long " * 50),
            **dict(p),
        }
    )
    monkeypatch.setenv("COLUMNS", str(columns))
    for line in str(p).splitlines():
        wide = sum(1 + (c in "温度") for c in line)
        assert wide <= columns
    # The values lose nothing as long as there is room for them.
    assert ("12.25" in str(p)) == (columns > 20)


def test_descriptions_give_way_first(monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    k = mtk.Parameter(
        0.5, unit="mol/(l s)", bounds=(0, 1), description="how fast it decays in water"
    )
    assert str(mtk.parameters({"decay": k})) == lines("""
    MTKParameters: 1 tunable
    name   value  unit       portion  bounds  description
    decay  0.5    mol/(l s)  tunable  0 … 1   how fast it decay…
    """)


def test_unicode_names_are_aligned():
    p = mtk.parameters({"温度": 20.5, "λ": 1.0, "e\u0301tat": 2.0, "k": 100})
    assert str(p).splitlines()[1:] == [
        "name  value  portion",
        "温度   20.5  tunable",
        "λ       1    tunable",
        "\u00e9tat    2    tunable",
        "k     100    constants",
    ]


def test_line_breaks_and_escapes_stay_out_of_the_table():
    k = mtk.Parameter(0.5, unit="1\n/s", description="red \x1b[31m\nand\ttabs")
    assert str(mtk.parameters({"k": k})).splitlines()[-1] == (
        "k     0.5    1 /s  tunable  red ?[31m and tabs"
    )


# Rows


def test_describe_keeps_all_that_is_declared():
    prior = object()
    p = mtk.parameters(
        {
            "k": mtk.Parameter(
                0.5,
                bounds=(0, [2.0, 3.0][0]),
                scale="log",
                guess=0.1,
                prior=prior,
                unit="1/s",
                description="rate",
            ),
            "f": mtk.Parameter(np.ones((2, 3)), bounds=(np.zeros((2, 3)), None)),
            "twice": mtk.Parameter(bind=lambda p: 2 * p.k + p.tank.h.astype(float), unit="1/h"),
            "tank.h": mtk.Parameter(np.float32(1.5), discrete=True),
        }
    )
    k, f, twice, h = mtk.describe(p)
    assert k == {
        "name": "k",
        "value": np.array(0.5),
        "unit": "1/s",
        "portion": mtk.Tunable,
        "bounds": (0.0, 2.0),
        "description": "rate",
        "shape": (),
        "dtype": "float64",
        "scale": "log",
        "guess": 0.1,
        "prior": prior,
        "reads": (),
    }
    assert isinstance(k["value"], np.ndarray)
    np.testing.assert_array_equal(f["value"], np.ones((2, 3)))
    np.testing.assert_array_equal(f["bounds"][0], np.zeros((2, 3)))
    assert (f["shape"], f["bounds"][1]) == ((2, 3), np.inf)
    assert (twice["value"].item(), twice["portion"], twice["unit"]) == (2.5, None, "1/h")
    assert twice["reads"] == ("k", "tank.h")
    assert (h["dtype"], h["portion"], h["bounds"]) == ("float32", mtk.Discrete, None)


def test_describe_of_what_is_no_number():
    net = eqx.nn.MLP(2, 1, 4, 1, key=jax.random.key(0))
    p = mtk.parameters({"net": net, "f": rate, "label": "run 7", "mix": {"a": 1.0, "n": 3}})
    rows = {row["name"]: row for row in mtk.describe(p)}
    assert isinstance(rows["net"]["value"], eqx.nn.MLP)
    np.testing.assert_array_equal(rows["net"]["value"].layers[0].weight, net.layers[0].weight)
    assert isinstance(rows["net"]["value"].layers[0].weight, np.ndarray)
    assert (rows["net"]["shape"], rows["net"]["dtype"]) == (None, "float64")
    assert rows["f"]["value"] is rate
    assert (rows["label"]["value"], rows["label"]["dtype"]) == ("run 7", None)
    assert rows["mix"]["value"] == {"a": 1.0, "n": 3}
    assert rows["mix"]["dtype"] is None


def test_describe_refuses_what_is_no_parameter_object():
    with pytest.raises(TypeError):
        mtk.describe({"k": 0.5})  # pyright: ignore[reportArgumentType]


def test_a_binding_that_fails_is_reported_and_the_rest_is_shown():
    scale: list[Any] = [1.0]
    p = mtk.parameters({"k": 0.5, "bad": mtk.Parameter(bind=lambda p: p.k / scale[0])})
    scale[0] = "text"
    assert isinstance(mtk.describe(p)[1]["value"], TypeError)
    assert "bad   TypeError: " in str(p)


# Objects that are not parameters of one model as it was declared


def test_gradients(p):
    free, rest = mtk.partition(p, mtk.Tunable)
    grads = eqx.filter_grad(lambda f, r: mtk.combine(f, r)["gain"] + (f["tau"] ** 2).sum())(
        free, rest
    )
    assert str(grads) == lines("""
    MTKParameters: 4 tunable, 1 nonnumeric; without 1 initial, 1 discrete, 2 constants, 1 bound
    name   value      unit    portion     bounds  description
    alpha  24.5       1/year  tunable     >= 0    hare birth rate
    tau    [2, 4, 7]  s       tunable     0 … 9
    label  'run 7'            nonnumeric
    """)
    assert repr(grads) == (
        "MTKParameters(tunable=f64[4], initials=None, discrete=(None,), constants=(None, None), "
        "8 names)"
    )
    rows = {row["name"]: row for row in mtk.describe(grads)}
    assert list(rows) == list(p.names())
    assert rows["order"]["value"] is rows["gain"]["value"] is None
    assert rows["gain"]["reads"] == ("alpha", "tank.k")


def test_the_reads_are_known_of_a_part_alone():
    p = mtk.parameters(
        {"a": 1.0, "n": 2, "b": mtk.Parameter(bind=lambda p: jnp.where(p.n > 1, p.a, 0.0))}
    )
    free, _ = mtk.partition(p, mtk.Tunable)
    assert mtk.describe(free)[2]["reads"] == ("n", "a")


def test_parts_by_name(p):
    part, _ = mtk.partition(p, ["tau[1]", "alpha"])
    assert str(part) == lines("""
    MTKParameters: 2 tunable
    name    value  unit    portion  bounds  description
    tau[1]  2      s       tunable  0 … 9
    alpha   0.55   1/year  tunable  >= 0    hare birth rate
    """)


def test_states_of_optimizers(p):
    free, _ = mtk.partition(p, mtk.Tunable)
    state: Any = optax.adam(1e-2).init(free)
    assert "tau    [0, 0, 0]  s       tunable     0 … 9" in str(state[0].mu)
    assert repr(state[0].mu) in repr(state)
    spec = mtk.filter_spec(p, mtk.Initials)
    masked: Any = optax.masked(optax.adam(1e-2), spec).init(p)
    mu = masked.inner_state[0].mu
    assert str(mu).splitlines()[0].startswith("MTKParameters: 1 initial, 1 nonnumeric; without 4 ")
    assert mtk.describe(mu)[0]["value"] is None
    assert "tunable=MaskedNode()" in repr(mu)


def test_filters_say_for_each_name_whether_it_is_in():
    p = mtk.parameters({"a": 1.0, "net": eqx.nn.Linear(1, 1, key=jax.random.key(0)), "n": 3})
    spec = mtk.filter_spec(p, mtk.Tunable)
    assert str(spec) == lines("""
    MTKParameters: 3 tunable, 1 constant
    name  value  portion
    a     True   tunable
    net   True   tunable
    n     False  constants
    """)
    assert mtk.describe(spec)[1]["value"] is True
    assert repr(spec).startswith("MTKParameters(tunable=True, ")


class Unprintable:
    def __repr__(self):
        raise RuntimeError("no")


@pytest.mark.parametrize(
    ("leaf", "text"),
    [
        ("fast", "'fast'"),
        (Unprintable(), "<Unprintable>"),
        (jax.sharding.PartitionSpec(), repr(jax.sharding.PartitionSpec())),
        (jax.ShapeDtypeStruct((4, 2), "float32"), "f32[4]"),
        (np.ones((4, 2)), "f64[4] all 1"),
    ],
)
def test_any_leaf_is_shown_under_its_names(leaf, text):
    p = mtk.parameters({"a": 1.0, "b": 2.0})
    q = jax.tree.map(lambda _: leaf, eqx.tree_at(lambda p: p.initials, p, None))
    rows = [re.split("  +", line)[1:] for line in str(q).splitlines()[2:]]
    assert rows == [[text, "tunable"]] * 2
    assert repr(q).startswith("MTKParameters(tunable=")
    assert len(mtk.describe(q)) == 2
    assert q._repr_html_()


@pytest.mark.parametrize(
    ("leaf", "text"), [(np.float64(3.5), "3.5"), (np.ones((2, 3)), "f64[2,3] all 1"), (0, "0")]
)
def test_leaves_that_do_not_fit_the_names_are_shown_by_buffer(leaf, text):
    p = mtk.parameters({"a": 1.0, "b": 2.0, "c": 3})
    q = jax.tree.map(lambda _: leaf, eqx.tree_at(lambda p: p.initials, p, None))
    header, _, *rows = str(q).splitlines()
    assert header.startswith("MTKParameters by buffer (these do not fit its 3 names): ")
    assert [re.split("  +", row) for row in rows] == [
        ["tunable", text, "tunable"],
        ["constants[0]", text, "constants"],
    ]
    assert [row["name"] for row in mtk.describe(q)] == ["tunable", "initials", "constants[0]"]


def test_axes_for_vmap():
    p = mtk.parameters({"a": 1.0, "n": 3})
    axes = eqx.tree_at(
        lambda p: (p.tunable, p.constants), jax.tree.map(lambda _: None, p), (0, None),
        is_leaf=lambda x: x is None,
    )  # fmt: skip
    assert "tunable  0      tunable" in str(axes)
    assert repr(axes) == "MTKParameters(tunable=0, initials=None, constants=None, 2 names)"


def test_second_derivatives(p):
    p = mtk.parameters({"a": 1.0, "b": 2.0})
    hessian = jax.hessian(lambda p: p["a"] * p["b"])(p)
    assert "MTKParameters, 4 numbers" in str(hessian)
    assert repr(hessian).startswith("MTKParameters(tunable=MTKParameters(tunable=f64[2,2], ")


def test_batches(p):
    batch = jax.tree.map(lambda x: jnp.stack([x, 2 * x]), p)
    assert str(batch) == lines("""
    MTKParameters, batch of 2: 4 tunable, 1 initial, 1 discrete, 2 constants, 1 nonnumeric, 1 bound
    name           value                 unit    portion                bounds  description
    alpha          f64[2] 0.55 … 1.1     1/year  tunable                >= 0    hare birth rate
    tau            f64[2,3] 1 … 7        s       tunable                0 … 9
    gain           f64[2] 13.475 … 53.9          bound (alpha, tank.k)
    tank.k         f64[2] 12.25 … 24.5           constants
    mode           f64[2] 1 … 2                  discrete
    order          i64[2] 3 … 6                  constants
    label          'run 7'                       nonnumeric
    Initial(hare)  f64[2] 30 … 60        1000    initials
    """)
    rows = {row["name"]: row for row in mtk.describe(batch)}
    assert rows["tau"]["shape"] == (3,)
    assert rows["gain"]["shape"] == ()
    assert rows["gain"]["reads"] == ("alpha", "tank.k")
    np.testing.assert_allclose(rows["alpha"]["value"], [0.55, 1.1])
    grid = jax.tree.map(lambda x: jnp.stack([x, x, x]), batch)
    assert str(grid).startswith("MTKParameters, batch of 3x2: 4 tunable")
    part = eqx.tree_at(lambda p: p.tunable, p, batch.tunable)
    assert str(part).startswith("MTKParameters, in part a batch: 4 tunable")


def test_bare_buffers_and_caches():
    bare = mtk.MTKParameters([1.0, 2.0], constants=([1, 2, 3],), caches=(np.zeros(9), np.zeros(1)))
    assert str(bare) == lines("""
    MTKParameters: 2 tunable, 3 constants, 10 caches
    name          value         portion
    tunable       [1, 2]        tunable
    constants[0]  [1, 2, 3]     constants
    caches[0]     f64[9] all 0  caches
    caches[1]     [0]           caches
    """)
    assert repr(bare) == (
        "MTKParameters(tunable=f64[2], constants=(i64[3],), caches=(f64[9], f64[1]))"
    )
    rows = mtk.describe(bare)
    assert [row["name"] for row in rows] == ["tunable", "constants[0]", "caches[0]", "caches[1]"]
    assert rows[1]["value"].tolist() == [1, 2, 3]
    p = mtk.parameters({"k": 0.5})
    p = p.with_buffers({**p.buffers, mtk.Caches: (jnp.zeros(2),)})
    assert [row["name"] for row in mtk.describe(p)] == ["k", "caches[0]"]
    assert str(p).splitlines()[0] == "MTKParameters: 1 tunable, 2 caches"


def test_donated_objects_are_shown_by_type():
    p = mtk.parameters({"a": [1.0, 2.0], "b": mtk.Parameter(bind=lambda p: p.a.sum())})
    jax.jit(lambda p: p.set({"a[0]": 0.5}), donate_argnums=0)(p)
    assert str(p) == lines("""
    MTKParameters, donated: 2 tunable, 1 bound
    name  value   portion
    a     f64[2]  tunable
    b     f64[]   bound (a)
    """)


# In the middle of a trace


TRACED = """
    MTKParameters: 4 tunable, 1 initial, 1 discrete, 2 constants, 1 nonnumeric, 1 bound
    name           value    unit    portion                bounds  description
    alpha          f64[]    1/year  tunable                >= 0    hare birth rate
    tau            f64[3]   s       tunable                0 … 9
    gain           f64[]            bound (alpha, tank.k)
    tank.k         f64[]            constants
    mode           f64[]            discrete
    order          i64[]            constants
    label          'run 7'          nonnumeric
    Initial(hare)  f64[]    1000    initials
"""


def seen_by(transform, p):
    """What the function that `transform` traces sees of its argument."""
    seen = []

    def look(p):
        seen.append((str(p), repr(p), mtk.describe(p), p._repr_html_()))
        return p["alpha"]

    transform(look)(p)
    return seen[0]


@pytest.mark.parametrize("transform", [jax.jit, jax.vmap, lambda f: jax.jit(jax.vmap(f))])
def test_tracers_are_shown_by_type(p, transform):
    if transform is not jax.jit:
        p = jax.tree.map(lambda x: jnp.stack([x, x]), p)
    text, one_line, rows, _ = seen_by(transform, p)
    assert text == lines(TRACED)
    assert one_line.startswith("MTKParameters(tunable=f64[4], initials=f64[1], ")
    assert rows[1]["value"] == jax.ShapeDtypeStruct((3,), "float64")
    assert rows[2]["value"] == jax.ShapeDtypeStruct((), "float64")
    assert (rows[1]["shape"], rows[1]["dtype"]) == ((3,), "float64")


def test_under_a_gradient_and_a_scan():
    p = mtk.parameters({"alpha": 1.0})
    assert "alpha  f64[]  tunable" in seen_by(jax.grad, p)[0]
    scan = lambda f: lambda p: jax.lax.scan(lambda c, _: (c, f(c)), p, None, length=2)
    assert "alpha  f64[]  tunable" in seen_by(scan, p)[0]


def test_types_of_an_abstract_evaluation(p):
    assert str(jax.eval_shape(lambda p: p, p)) == lines(TRACED)


def test_showing_leaves_no_trace(p):
    """Whatever is shown, known or traced, no operation of it is in the program."""

    def look(traced):
        for q in (p, traced):
            str(q), mtk.describe(q)
        return traced["alpha"]

    def plain(traced):
        return traced["alpha"]

    assert str(jax.make_jaxpr(look)(p)) == str(jax.make_jaxpr(plain)(p))


def test_what_is_known_is_shown_with_values_inside_of_jit(p):
    texts = []
    jax.jit(lambda x: texts.append(str(p)) or x)(1.0)
    assert texts == [str(p)]


def test_debug_print_shows_the_table(p, capsys):
    jax.jit(lambda p: jax.debug.print("{p}", p=p))(p)
    jax.effects_barrier()
    assert capsys.readouterr().out.rstrip() == str(p)


def test_a_shown_object_can_be_donated():
    """A view that showing left behind would keep the buffer from being used again."""
    p = mtk.parameters({"a": np.arange(1000.0), "b": 2.0})
    pointer = p.tunable.unsafe_buffer_pointer()
    rows, _ = mtk.describe(p), str(p)
    q = jax.jit(lambda p: p.set({"b": 3.0}), donate_argnums=0)(p)
    assert q.tunable.unsafe_buffer_pointer() == pointer
    np.testing.assert_array_equal(rows[0]["value"], np.arange(1000.0))
    assert rows[1]["value"] == 2.0


# Many names, large arrays


class Counting:
    """numpy, with a list of the sizes of what it copies."""

    def __init__(self):
        self.sizes = []

    def __getattr__(self, name):
        return getattr(np, name)

    def asarray(self, x):
        self.sizes.append(x.size)
        return np.asarray(x)

    array = asarray


@pytest.mark.slow
def test_of_many_names_only_those_shown_are_looked_at(monkeypatch):
    p = mtk.parameters({f"k{i}": float(i) for i in range(10_000)})
    copies = Counting()
    monkeypatch.setattr(_contents(), "np", copies)
    shown = str(p).splitlines()
    assert copies.sizes == [10_000] + 60 * [1]
    assert shown[0] == "MTKParameters: 10000 tunable"
    assert shown[2].split() == ["k0", "0", "tunable"]
    assert shown[61].split() == ["k59", "59", "tunable"]
    assert shown[62:] == ["… 9940 more; mtk.describe(p) gives all of them."]
    start = time.perf_counter()
    str(p), repr(p), p._repr_html_()
    assert time.perf_counter() - start < 5.0  # 0.1 s on a quiet core


def test_describe_fetches_each_buffer_once(monkeypatch):
    p = mtk.parameters({f"k{i}": float(i) for i in range(100)} | {"n": 3})
    copies = Counting()
    monkeypatch.setattr(_contents(), "np", copies)
    rows = mtk.describe(p)
    assert sorted(copies.sizes) == 102 * [1] + [100]
    assert (len(rows), rows[99]["value"].item()) == (101, 99.0)


def test_sixty_names_are_shown_without_a_rest():
    p = mtk.parameters({f"k{i}": float(i) for i in range(60)})
    assert "more" not in str(p)


def test_of_a_large_buffer_only_what_is_shown_comes_to_the_host(monkeypatch):
    copies = Counting()
    monkeypatch.setattr(_contents(), "np", copies)
    monkeypatch.setattr(_contents(), "LARGE", 1000)
    monkeypatch.setattr(importlib.import_module("mtkparams._parameters.show.short"), "np", copies)
    p = mtk.parameters(
        {
            "a": mtk.Parameter(np.arange(3000.0)),
            "b": 2.5,
            "n": np.arange(2000),
            "on": np.arange(2000) > 9,
            "z": 1j * np.arange(2000),
            "keys": jax.random.split(jax.random.key(0), 2000),
        }
    )
    assert str(p) == lines("""
    MTKParameters: 3001 tunable, 6000 constants, 1 nonnumeric
    name  value                    portion
    a     f64[3000] 0 … 2999       tunable
    b     2.5                      tunable
    n     i64[2000] 0 … 1999       constants
    on    bool[2000] 1990 true     constants
    z     c128[2000] |z| 0 … 1999  constants
    keys  key<fry>[2000]           nonnumeric
    """)
    assert max(copies.sizes) == 1


# HTML


class Cells(html.parser.HTMLParser):
    """Reads back what a browser would show: rows of cells, with the title of each."""

    def __init__(self, text):
        super().__init__()
        self.rows, self.titles, self.open = [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self.titles += [value for name, value in attrs if name == "title"]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data


def test_html_has_the_same_columns_and_rows(p):
    table = Cells(p._repr_html_())
    assert table.rows[0] == ["name", "value", "unit", "portion", "bounds", "description"]
    assert table.rows[1] == ["alpha", " 0.55", "1/year", "tunable", ">= 0", "hare birth rate"]
    assert table.rows[3] == ["gain", "13.475", "", "bound (alpha, tank.k)", "", ""]
    assert len(table.rows) == 1 + len(p)
    assert set(table.titles) == {"hare birth rate"}


def test_html_is_escaped():
    nasty = "<script>alert('x')</script> & \"more\""
    p = mtk.parameters({"k": mtk.Parameter(0.5, unit="<b>", description=nasty), "label": nasty})
    text = p._repr_html_()
    assert "<script" not in text
    assert "<b>" not in text
    table = Cells(text)
    assert table.rows[1][-1] == nasty
    assert set(table.titles) == {nasty}


def test_html_of_odd_objects(p):
    free, rest = mtk.partition(p, mtk.Tunable)
    assert len(Cells(free._repr_html_()).rows) == 4
    assert Cells(mtk.MTKParameters()._repr_html_()).rows == []
    many = mtk.parameters({f"k{i}": float(i) for i in range(61)})
    assert "<p>… 1 more; mtk.describe(p) gives all of them.</p>" in many._repr_html_()
