"""A solution as a pandas table, or as an xarray dataset."""

from __future__ import annotations

from typing import Any

import numpy as np

from .columns import Column, columns, needed, shared_times


def to_pandas(solution: Any, spec: Any) -> Any:
    """What `Solution.to_pandas` says."""
    pandas = needed("pandas", "solution.to_pandas()", "table")
    shown = columns(solution, spec)
    ts = np.asarray(solution.ts)
    if ts.ndim > 1:
        shared = shared_times(ts)
        ts = ts if shared is None else np.broadcast_to(shared, ts.shape)
        members = np.repeat(np.arange(ts[..., 0].size), ts.shape[-1])
        index = pandas.MultiIndex.from_arrays([members, ts.ravel()], names=["member", "t"])
    else:
        index = pandas.Index(ts, name="t")
    data = {}
    for column in shown:
        for label, values in column.entries().items():
            whole = values if column.is_series else values[..., None]
            data[label] = np.broadcast_to(whole, ts.shape).ravel()
    table = pandas.DataFrame(data, index=index)
    table.attrs["units"] = {c.label: c.unit for c in shown if c.unit}
    table.attrs["descriptions"] = {c.label: c.description for c in shown if c.description}
    return table


def to_xarray(solution: Any, spec: Any) -> Any:
    """What `Solution.to_xarray` says."""
    xarray = needed("xarray", "solution.to_xarray()", "table")
    ts = np.asarray(solution.ts)
    members = tuple(f"member_{i}" for i in range(ts.ndim - 1)) if ts.ndim > 2 else ("member",)
    lead = members[: ts.ndim - 1]
    shared = shared_times(ts)
    time = "time" if shared is None else "t"
    coordinates = {"t": ((*lead, time), ts) if shared is None else (time, shared)}
    variables = {c.label: _variable(xarray, c, lead, time) for c in columns(solution, spec)}
    return xarray.Dataset(variables, coords=coordinates)


def _variable(xarray: Any, column: Column, lead: tuple[str, ...], time: str) -> Any:
    axes = tuple(f"{column.label}_{i}" for i in range(len(column.shape)))
    dims = (*lead, time, *axes) if column.is_series else (*lead, *axes)
    about = {"units": column.unit, "long_name": column.description}
    return xarray.Variable(dims, column.values, {k: v for k, v in about.items() if v})
