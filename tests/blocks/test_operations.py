"""Every operation that the structure knows, in sound equations: solved, with the slopes of the whole.

The reference is the implicit function theorem on the dense Jacobian of the same equations, at a root
that is known because the equations were shifted to have it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp
import jax.scipy.special as special
import numpy as np
import pytest
from blocks import functions
from jax import lax
from jax.ad_checkpoint import checkpoint_name
from speed.counts import equations

POINT = np.random.default_rng(3).uniform(0.3, 0.9, functions.N)
CONSTANTS = np.random.default_rng(4).uniform(0.2, 1.0, functions.N)

_real = lambda n, like: n.astype(like.dtype)

# Of one positive number; many are not defined at zero.
UNARY: dict[str, Callable[[Any], Any]] = {
    **{
        n: getattr(jnp, n)
        for n in """abs arcsin arccos arcsinh arctan arctanh cbrt ceil cos cosh exp exp2 expm1 floor
        log log1p log2 negative real round sign sin sinh sqrt square tan tanh""".split()
    },
    **{
        n: getattr(special, n)
        for n in "digamma erf erfc erfinv gammaln i0e i1e log_ndtr logit ndtri entr".split()
    },
    "arccosh": lambda x: jnp.arccosh(1.5 + x),
    "logistic": jax.nn.sigmoid,
    "rsqrt": lax.rsqrt,
    "integer power": lambda x: x**-3,
    "power": lambda x: x ** (x + 0.3),
    "quotient": lambda x: 0.3 / x,
    "remainder": lambda x: jnp.fmod(x, 0.25),
    "next number": lambda x: x + 0.0 * jnp.nextafter(lax.stop_gradient(x), 2.0),
    "angle": lambda x: jnp.arctan2(0.7, x),
    "complex": lambda x: jnp.imag(jnp.conj(lax.complex(x, 2.0 * x)) * lax.complex(x, x)),
    "clamp": lambda x: lax.clamp(0.1, x, 2.0) + jnp.clip(x, 0.0, 0.2),
    "bigger and smaller": lambda x: jnp.maximum(x, 0.4) * jnp.minimum(x, 0.5),
    "choice": lambda x: jnp.where((x > 0.5) | ~(x >= 0.4) & (x != 0.45), x**2, 2 * x),
    "exclusive": lambda x: jnp.where((x < 0.5) ^ (x <= 0.2) | (x == 0.2), jnp.log(x), jnp.sqrt(x)),
    "finite": lambda x: jnp.where(jnp.isfinite(x), jnp.log(x), 0.0),
    "counts": lambda x: x + _real(jnp.bitwise_count(jnp.int32(8 * x) | 1), x),
    "bits": lambda x: x * _real(((jnp.int32(8 * x) << 2) >> 1) + lax.clz(jnp.int32(1 + x)), x),
    "logical bits": lambda x: (
        x
        + _real(
            lax.shift_right_logical(jnp.int32(32 * x), jnp.int32(2)) + (~jnp.int32(9 * x) & 5), x
        )
    ),
    "integer product": lambda x: x * _real(jnp.int32(7 * x) * 3 % 5, x),
    "lower precision": lambda x: x + 0.0 * lax.reduce_precision(x, 8, 20),
    "gamma": lambda x: special.gammainc(1.3, x) * special.gammaincc(2.1, x),
    "gamma from its derivative": lambda x: jax.grad(lambda x: special.gammainc(1.3, x))(x),
    "beta": lambda x: special.betainc(1.3, 0.7, x),
    "zeta": lambda x: special.zeta(2.5, x),
    "polygamma": lambda x: special.polygamma(2, x),
    "stopped": lambda x: x * lax.stop_gradient(jnp.log(x)),
    "soft": lambda x: jax.nn.softplus(x) + jax.nn.gelu(x) + jax.nn.silu(x) + jnp.sinc(x),
    "sum of logarithms": lambda x: jnp.logaddexp(jnp.log(x), x),
    "junk at zero": lambda x: jnp.sqrt(x) * jnp.log(x) / x + 1 / jnp.sqrt(x),
}


@jax.custom_jvp
def _inverse(x: Any) -> Any:
    return 1 / x


_inverse.defjvp(lambda x, t: (1 / x[0], -t[0] / x[0] ** 2))


def _own_solve(a: Any, b: Any) -> Any:
    solve = lambda mv, b: jnp.linalg.solve(a, b)
    return lax.custom_linear_solve(
        lambda x: a @ x, b, solve, lambda vm, c: jnp.linalg.solve(a.T, c)
    )


_half = lambda u: u.reshape(2, 3)
_square = lambda u: jnp.outer(u[:2], u[:2]) + 3.0 * jnp.eye(2)

# Of lines of positive numbers, in operations that are taken whole.
WHOLE: dict[str, Callable[[Any], Any]] = {
    "map over each": lambda u: lax.map(lambda x: jnp.sqrt(x) * jnp.log(x) / x, u),
    "scan of roots": lambda u: lax.scan(lambda c, x: (jnp.sqrt(c * x), jnp.log(c) / x), u[0], u)[1],
    "while until": lambda u: jnp.stack(
        lax.while_loop(lambda s: s[0] < 3.0, lambda s: (s[0] / s[1], 0.9 * s[1]), (u[0], u[1]))
    ),
    "map of loops": lambda u: lax.map(
        lambda x: lax.while_loop(lambda s: s < 2.0, lambda s: s + s * x, x), u
    ),
    "cond of a logarithm": lambda u: lax.cond(
        u[0] > 2.0, lambda a, b: a / b, lambda a, b: jnp.log(a) * jnp.sqrt(b), u[:3], u[3:]
    ),
    "switch": lambda u: lax.switch(
        jnp.int32(3 * u[0]), [jnp.log, jnp.sqrt, lambda x: 1 / x], u[1:]
    ),
    "fori of two": lambda u: lax.fori_loop(0, 3, lambda i, s: (s[1] / s[0], s[0] * s[1]), (u[0], u[5]))[1][None],
    "cumulative": lambda u: jnp.concatenate(
        [lax.cumprod(u), lax.cummax(u), lax.cummin(u), lax.cumlogsumexp(u), lax.cumsum(jnp.log(u))]
    ),
    "reductions": lambda u: jnp.stack(
        [jnp.prod(u), jnp.min(u), jnp.max(u), jnp.log(jnp.sum(u)), jax.nn.logsumexp(u)]
    ),
    "truth": lambda u: jnp.where(
        jnp.stack([jnp.all(u > 0.2), jnp.any(u > 2), jnp.bitwise_xor.reduce(jnp.int32(9 * u)) > 2]),
        u[:3],
        jnp.log(u[3:]),
    ),
    "least and greatest": lambda u: jnp.log(u[jnp.argmin(_half(u), 1)] * u[jnp.argmax(u)]),
    "eigenvalues": lambda u: jnp.log(jnp.linalg.eigvalsh(_square(u))),
    "eigenvectors": lambda u: jnp.linalg.eigh(_square(u))[1].ravel() ** 2,
    "singular values": lambda u: jnp.log(jnp.linalg.svd(_square(u), compute_uv=False)),
    "factors": lambda u: jnp.concatenate(
        [x.ravel() for x in (*jnp.linalg.qr(_square(u)), *jax.scipy.linalg.lu(_square(u))[1:])]
    ),
    "determinant": lambda u: jnp.log(jnp.linalg.det(_square(u)))[None],
    "triangular": lambda u: jax.scipy.linalg.solve_triangular(
        jnp.tril(_square(u)), u[2:].reshape(2, 2), lower=True
    ).ravel(),
    "tridiagonal": lambda u: lax.linalg.tridiagonal_solve(
        0.3 * u[:3].at[0].set(0), 2 + u[:3], 0.2 * u[3:].at[2].set(0), u[3:, None]
    ).ravel(),
    "own linear solve": lambda u: _own_solve(jnp.diag(2 + u[:3]) + 0.1 * np.eye(3, k=1), u[3:]),
    "convolution": lambda u: lax.conv_general_dilated(
        u[None, None], u[None, None, :2], (1,), "VALID"
    ).ravel(),
    "scattered": lambda u: jnp.log(
        u.at[np.array([0, 2])].min(u[3:5]).at[np.array([4, 5])].max(u[:2]).at[3].subtract(0.1 * u[1])
    ),
    "named and bound": lambda u: checkpoint_name(lax.optimization_barrier(jnp.log(u)), "logs"),
    "moved": lambda u: jax.device_put(jnp.sqrt(u)),
    "own reduction": lambda u: lax.reduce(
        jnp.log(_half(u)), np.float64(0.0), lambda a, b: a + b * (1 + 0.0 * a), (1,)
    ),
    "nearly the best": lambda u: jnp.log(lax.approx_max_k(_half(u), 2)[0].ravel()),
    "own rule": lambda u: jax.nn.relu(u) * _inverse(u[::-1]),
    "products of two": lambda u: jnp.einsum("ij,kj->ik", _half(u), jnp.log(_half(u))).ravel(),
    "written in": lambda u: lax.dynamic_update_slice(u, jnp.log(u[:2]), (jnp.int32(4 * u[0]),)),
    "random": lambda u: u * jax.random.uniform(jax.random.key(0), (6,)),
    "bits of it": lambda u: u * _real(lax.bitcast_convert_type(u, jnp.uint64) & np.uint64(0), u) + u,
    "product with zeros": lambda u: jnp.zeros((3, 6)) @ u + u[:3],
    "rows of zeros": lambda u: lax.scan(lambda c, a: (c, a @ u), 0.0, np.eye(6)[:3] * [[1], [0], [2]])[1],
    "best of a few": lambda u: jnp.log(lax.top_k(_half(u), 2)[0].ravel()),
    "spectrum": lambda u: jnp.abs(jnp.fft.rfft(u)) + jnp.fft.fft(u).imag[:4],
    "matrix exponential": lambda u: jax.scipy.linalg.expm(0.3 * _square(u)).ravel(),
    "interpolation": lambda u: jnp.interp(u[:3], jnp.arange(4.0), jnp.log(u[:4])),
    "sorted with": lambda u: jnp.concatenate(lax.sort((u, jnp.log(u[::-1])), num_keys=1)),
}  # fmt: skip

# Repeated indices have no derivative in JAX, nor have mutable arrays under vmap; one has a backward rule.
LEFT = {
    "scatter product",
    "scatter of a function",
    "mutable array",
    "mutable array in a loop",
    "a backward rule of its own",
}
FIRST: dict[str, Callable[[Any], Any]] = {
    "each alone": lambda u: jnp.stack([f(u[0]) for f in UNARY.values()]),
    "each in a map": lambda u: lax.map(
        lambda x: jnp.stack([jnp.asarray(f(x), x.dtype) for f in UNARY.values()]), u[:2]
    ).ravel(),
    "each in a scan": lambda u: lax.scan(
        lambda c, x: (c * x, jnp.stack([jnp.asarray(f(x * c), x.dtype) for f in UNARY.values()])),
        0.9 * u[0] ** 0.1,
        u[1:3],
    )[1].ravel(),
    **{f"whole, {n}": f for n, f in WHOLE.items()},
}
MORE: dict[str, Callable[[Any], Any]] = {
    **{f"pattern, {n}": f for n, (f, _) in functions.EXACT.items() if n not in LEFT},
    **{f"piece, {n}": (lambda u, f=f: f(u, CONSTANTS)) for n, f in functions.PIECES.items()},
}


def operations_of(f: Callable[[Any], Any]) -> set[str]:
    return set(equations(f, jnp.asarray(POINT)))


def chosen() -> tuple[dict[str, Callable[[Any], Any]], set[str]]:
    """The first ones, and of the others those that have an operation in them that is new."""
    seen = set().union(*map(operations_of, FIRST.values()))
    functions = dict(FIRST)
    for name, f in MORE.items():
        if operations := operations_of(f) - seen:
            functions[name] = f
            seen |= operations
    return functions, seen


ALL, OPERATIONS = chosen()
# So many in one program.
GROUP = 6
_EACH = [n for n in ALL if n.startswith("each")]
_OTHERS = [n for n in ALL if n not in _EACH]
GROUPS = [_OTHERS[i : i + GROUP] for i in range(0, len(_OTHERS), GROUP)] + [[n] for n in _EACH]


def system(names: Iterable[str]) -> tuple[Callable[[Any, Any], Any], np.ndarray]:
    """Equations `y + y^3 / 10 = f(x)` for each function, with an x that follows from p, and their root."""
    fs = [ALL[n] for n in names]

    def left(u: Any, p: Any) -> Any:
        parts, at = [], 0
        for i, f in enumerate(fs):
            x = u[at : at + functions.N]
            value = jnp.asarray(f(x), u.dtype)
            y = u[at + functions.N : at + functions.N + value.size]
            at += functions.N + value.size
            parts += [x - jnp.roll(p, i) * (1 + 0.1 * x**2), y + 0.1 * y**3 - value]
        return jnp.concatenate(parts)

    sizes = [jax.eval_shape(f, jnp.asarray(POINT)).size for f in fs]
    random = np.random.default_rng(len(sizes))
    # Of x as the functions want it, and of y whatever.
    root = np.concatenate([np.r_[POINT, random.uniform(0.5, 1.5, n)] for n in sizes])
    shift = np.asarray(left(jnp.asarray(root), jnp.asarray(POINT)))
    return lambda u, p: left(u, p) - shift.astype(u.dtype), root


@pytest.mark.slow
@pytest.mark.parametrize("names", GROUPS, ids=lambda g: g[0])
def test_operations_in_sound_equations(names):
    from mtkparams._blocks import Settings, analyze, solve_blocks

    fn, root = system(names)
    p = jnp.asarray(POINT)
    guess = jnp.asarray(root * np.random.default_rng(0).uniform(0.98, 1.02, root.size))
    structure = analyze(fn, guess, p)
    # JAX goes forward only through loops whose length is not known.
    backward = "while" not in equations(fn, guess, p)

    def solve(p: Any) -> Any:
        found = solve_blocks(structure, fn, guess, p, Settings(doubt=True))
        return found.u, found.status

    @jax.jit  # One program, since compiling is all that takes time here.
    def solved(p: Any) -> Any:
        u, push, status = jax.linearize(solve, p, has_aux=True)
        slopes = [jax.vmap(push, out_axes=1)(jnp.eye(p.size))]
        if backward:
            pull = jax.linear_transpose(push, p)
            slopes.extend(jax.vmap(pull)(jnp.eye(u.size)))
        return u, status, slopes

    u, status, slopes = jax.device_get(solved(p))
    of_u, of_p = jax.device_get(jax.jit(jax.jacfwd(fn, (0, 1)))(jnp.asarray(root), p))
    slope = np.linalg.solve(of_u, -of_p)
    assert np.all(status == 0)
    assert len(slopes) == 1 + backward
    np.testing.assert_allclose(u, root, rtol=1e-10)
    for found in slopes:
        np.testing.assert_allclose(found, slope, rtol=1e-7, atol=1e-9)


def test_some_140_operations_take_part():
    assert len(OPERATIONS) >= 140, sorted(OPERATIONS)
