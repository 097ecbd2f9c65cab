"""First-order steps of optax, in a compiled loop."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array

from .coordinates import Landscape
from .loop import RUNNING, START_FAILED, AbstractMethod, Run

# After so many failures in a row, each half of the step before, the optimizer's moments are
# forgotten: they lead where nothing can be computed.
_PATIENCE = 12


class _State(eqx.Module):
    inner: Any
    update: Array
    part: Array
    in_a_row: Array


class Optax(AbstractMethod):
    """A transformation of optax.

    A step that leads to where the solve fails is taken back, and half of it is tried, and so on; after
    twelve of those the optimizer goes on from the last place with fresh moments. Its state, such as
    the moments of Adam, never sees a failed gradient.
    """

    transformation: optax.GradientTransformation

    def init(self, landscape: Landscape, z: Array) -> _State:
        del landscape
        with jax.numpy_dtype_promotion("standard"):
            inner = self._extended.init(z)
        whole = jnp.ones((), z.dtype)
        return _State(
            jax.tree.map(jnp.asarray, inner), jnp.zeros_like(z), whole, jnp.zeros((), int)
        )

    @property
    def _extended(self) -> Any:
        return optax.with_extra_args_support(self.transformation)

    def step(self, landscape: Landscape, run: Run) -> Run:
        state: _State = run.state
        # `run.z` is the last place that counted, from where `part` of the update is tried.
        tried = landscape.coordinates.keep(run.z + state.part * state.update)
        loss, slopes = landscape.value_and_grad(tried)
        failed = ~(jnp.isfinite(loss) & jnp.isfinite(slopes).all())
        safe = jnp.where(failed, jnp.zeros_like(slopes), slopes)
        # Adam raises a float to an integer count, which strict promotion refuses.
        with jax.numpy_dtype_promotion("standard"):
            update, inner = self._extended.update(
                safe, state.inner, tried, value=loss, grad=safe, value_fn=landscape.value
            )
        update = update.astype(run.z.dtype)
        keep = lambda old, new: jax.tree.map(
            lambda a, b: jnp.where(failed, a, jnp.asarray(b).astype(a.dtype)), old, new
        )
        in_a_row = jnp.where(failed, state.in_a_row + 1, 0)
        forget = in_a_row >= _PATIENCE
        with jax.numpy_dtype_promotion("standard"):
            fresh = jax.tree.map(jnp.asarray, self._extended.init(run.z))
        # Counts stay: a schedule goes on.
        forgotten = lambda kept, new: jnp.where(forget & eqx.is_inexact_array(new), new, kept)
        update = jnp.where(failed, state.update, update)
        code = jnp.where(failed & (run.steps == 0), START_FAILED, RUNNING)
        return run.after(
            z=jnp.where(failed, run.z, tried),
            loss=jnp.where(failed, run.loss, loss),
            tried=tried,
            failed=failed,
            code=code,
            state=_State(
                inner=jax.tree.map(forgotten, keep(state.inner, inner), fresh),
                update=jnp.where(forget, jnp.zeros_like(update), update),
                part=jnp.where(failed, state.part / 2, jnp.ones_like(state.part)),
                in_a_row=jnp.where(forget, 0, in_a_row),
            ),
        )
