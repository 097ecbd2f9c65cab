"""What the primitives of JAX do with single array elements, as tables of their names.

Names, not objects: jax 0.10 and 0.12 do not have the same primitives, and a name that this version
lacks does no harm. A name that no table has is an unknown primitive, and is taken to be dense.
"""

from __future__ import annotations

# Calls that are their contents: the equations inside are taken in place of the call.
INLINED = frozenset(
    {
        "jit",
        "pjit",
        "closed_call",
        "core_call",
        "call",
        "remat",
        "remat2",
        "checkpoint",
        "composite",
    }
)

# Reading and writing of mutable arrays: what happens between them is no matter of operands and results.
MUTATING = frozenset(
    "new_ref empty_ref get swap addupdate accum_grad_in_ref freeze free_ref".split()
)

# Every operand comes out as it is.
IDENTITY = frozenset(
    """copy copy_p device_put name optimization_barrier sharding_constraint layout_constraint reshard
    mesh_cast nonbatchable pvary pcast reduced_vary_cast_p vary_unreduced_cast_p pbroadcast
    reduced_vary_cast vary_unreduced_cast relayout with_memory_space_constraint""".split()
)

# One element out for one element of each operand in; an operand of shape () stands for every element.
ELEMENTWISE = frozenset(
    """abs acos acosh add add_any and asin asinh atan atan2 atanh bessel_i0e bessel_i1e cbrt ceil
    clamp clz complex conj convert_element_type cos cosh digamma div eq eq_to erf erf_inv erfc exp
    exp2 expm1 floor ge gt igamma igamma_grad_a igammac imag integer_pow is_finite le le_to lgamma
    log log1p log2 logistic lt lt_to max min mul mulhi ne neg nextafter not one_minus_square or polygamma polynomial population_count
    pow random_gamma_grad real reduce_precision regularized_incomplete_beta rem round rsqrt select_n
    nondifferentiable nondifferentiable_backward shift_left shift_right_arithmetic shift_right_logical sign sin sinh sqrt square stop_gradient sub
    tan tanh xor zeros_like zeta""".split()
)

# A reduction of some axes to one element each; `axes` says which.
REDUCTIONS = frozenset(
    """reduce_sum reduce_max reduce_min reduce_prod reduce_and reduce_or reduce_xor argmax
    argmin""".split()
)

CUMULATIVE = frozenset("cumsum cumprod cummax cummin cumlogsumexp".split())

# Each element out depends on every element in, and JAX users know these names: no warning for them.
DENSE = frozenset(
    """maybe_set platform_index pure_callback io_callback ffi_call random_bits random_seed random_wrap random_unwrap
    random_split random_fold_in random_clone random_gamma threefry2x32 threefry4x32 philox2x32
    philox4x32 rng_bit_generator rng_uniform""".split()
)

# All of the operands together make each result, and nothing less would do.
POOLED = frozenset("unvmap_any unvmap_all unvmap_max linear_solve".split())

# Worth evaluating when all operands are constants: masks, indices and one-hot matrices come from them.
FOLDED = (ELEMENTWISE | REDUCTIONS | CUMULATIVE | {"dot_general", "iota", "sort"}) - {
    "random_gamma_grad"
}

# What an operation does to the degree of a polynomial in the unknowns. Elementwise primitives that
# are in none of these are nonlinear, and so is every equation that is taken as a whole.
LINEAR = frozenset("add sub neg add_any real imag conj complex convert_element_type".split())
LINEAR_WHOLE = frozenset("cumsum fft".split())
