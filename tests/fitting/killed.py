"""A fit in a process of its own, which test_checkpoint_run.py kills."""

import sys
import time

import jax
import numpy as np
import optax

jax.config.update("jax_enable_x64", True)

import mtkparams as mtk  # noqa: E402


def fit(folder, **changed):
    """The valley of Rosenbrock, by Adam with a schedule; `changed` makes it another run."""
    start = {"a": changed.pop("a", -1.2), "b": 1.0}
    rate = changed.pop("rate", 0.05)
    factor = changed.pop("factor", 100.0)
    arguments = {
        "method": optax.adam(optax.cosine_decay_schedule(rate, 300)),
        "steps": 300,
        "checkpoint": None if folder is None else mtk.fitting.Checkpoint(folder, every=7),
        **changed,
    }
    loss = lambda p: (1 - p["a"]) ** 2 + factor * (p["b"] - p["a"] ** 2) ** 2
    return mtk.fitting.minimise(loss, mtk.parameters(start), **arguments)


if __name__ == "__main__":
    folder, out, pause = sys.argv[1:]
    # Slow enough to be killed anywhere: between steps, and while a file is written.
    result = fit(folder, watch=lambda status: time.sleep(float(pause)))
    np.savez(out, v=result.v, losses=result.losses, evaluations=result.evaluations)
