"""Plain values out of an object and into it, by full name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import jax
import numpy as np

from .._parameters import (
    At,
    Entry,
    Initial,
    Leaf,
    MTKParameters,
    Target,
    by_stored_name,
    part_of,
    plain,
)
from ..errors import KindError, OverlapError, UnknownNameError
from .arrays import Host, on_host
from .fill import Value, filled
from .mismatch import Mismatch
from .names import (
    PLAIN,
    all_settings,
    buffer_of,
    check_object,
    hosts_of,
    leaves_of,
    place_of,
    settings_of,
)
from .plain import UnfitError, from_plain, plain_setting, to_plain
from .static import kind

Names: TypeAlias = Iterable[str | Initial]


def to_plain_values(p: MTKParameters, names: Names | None, short: bool) -> dict[str, Any]:
    """What `mtk.io.to_dict` returns; `short` as for `to_plain`."""
    check_object(p, "What mtk.io writes")
    values = _all(p)
    if names is not None:
        asked = [names] if isinstance(names, str | Initial) else names
        values = {k: v for name in asked for k, v in _named(p, plain(name), values).items()}
    return {k: to_plain(v, short) if isinstance(v, Host) else v for k, v in values.items()}


def _all(p: MTKParameters) -> dict[str, Any]:
    hosts = hosts_of(p)
    leaves = leaves_of(p.index.entries.values(), p.index.widths, hosts)
    if not leaves and any(host is not None and host.data.size for host in hosts.values()):
        raise KindError(
            "The numbers in this object have no names to be written under: it was built from bare "
            "buffers, or reduced. mtk.io.save keeps it as it is."
        )
    values: dict[str, Any] = {}
    for entry in p.index.entries.values():
        for leaf in entry.leaves:
            if entry.name + leaf.path in leaves:
                values[entry.name + leaf.path] = buffer_of(leaf, hosts).take(place_of(leaf))
        values |= settings_of(entry)
    return values


def _named(p: MTKParameters, name: str, known: Mapping[str, Any]) -> dict[str, Any]:
    """What one name stands for, which may be dependent, a pytree, or an entry of an array."""
    if name in known:
        return {name: known[name]}
    leaves, _ = jax.tree_util.tree_flatten_with_path(p[name])
    values: dict[str, Any] = {}
    for path, value in leaves:
        full = name + jax.tree_util.keystr(path)
        if isinstance(value, jax.Array):
            values[full] = on_host(value, repr(full))
        elif type(value) in PLAIN:
            values[full] = value
    if leaves and not values:
        raise KindError(f"{name!r} is {kind(leaves[0][1])}: it has no plain value.")
    return values


def with_plain_values(
    p: MTKParameters, values: Mapping[Any, Any], strict: bool, where: str
) -> MTKParameters:
    """What `mtk.io.from_dict` returns; `where` says where the values are."""
    check_object(p, "What takes values by name")
    hosts = hosts_of(p)
    leaves = leaves_of(p.index.entries.values(), p.index.widths, hosts)
    settings = all_settings(p.index)
    taken: dict[str, list[Value]] = {}
    new: dict[str, Any] = {}
    mismatch = Mismatch()
    stored = by_stored_name(values)
    for name, value in stored.items():
        try:
            if name in settings:
                new[name] = plain_setting(value, settings[name])
            elif (target := _target(p, name, leaves)) is None:
                mismatch.left_over.append(name)
            else:
                new_value = _value(target, value, hosts)
                taken.setdefault(new_value.name, []).append(new_value)
        except UnfitError as error:
            mismatch.changed[name] = str(error)
    mismatch.missing += [
        n for n, at in leaves.items() if n not in stored and _lacks(at[1], taken.get(n, []))
    ]
    mismatch.missing += [name for name in settings if name not in stored]
    _refuse_overlaps(taken)
    mismatch.settle(where, "the declaration", strict)
    return filled(p, [new_value for group in taken.values() for new_value in group], new, ())


def _target(p: MTKParameters, name: str, leaves: Mapping[str, tuple[Entry, Leaf]]) -> Target | None:
    """The array, or the entries of one, that `name` means; `None` where nothing has this name."""
    if name in leaves:
        return Target(*leaves[name], None)
    try:
        target = p.index.find(name)
    except UnknownNameError:
        return None
    entry, leaf = target.entry, target.leaf
    if entry.bind is not None:
        raise UnfitError("is given as a value and declared as a dependent parameter")
    if leaf is None and entry.leaves:
        first = entry.name + entry.leaves[0].path
        raise UnfitError(f"is declared as a pytree, whose arrays have names such as {first!r}")
    if leaf is None:
        raise UnfitError(f"is declared as {kind(entry.skeleton)}")
    return target if entry.name + leaf.path in leaves else None


def _value(target: Target, value: object, hosts: Mapping[At, Host | None]) -> Value:
    place = place_of(target.leaf)
    try:
        shape = part_of(target, place.shape).shape
    except UnknownNameError as error:
        raise UnfitError(f"names nothing: {error}") from None
    return Value(target, from_plain(value, buffer_of(target.leaf, hosts), shape))


def _lacks(leaf: Leaf, values: list[Value]) -> bool:
    positions = {i for value in values for i in value.positions.ravel().tolist()}
    return place_of(leaf).size > len(positions) or not values


def _refuse_overlaps(taken: Mapping[str, list[Value]]) -> None:
    for name, values in taken.items():
        positions = np.concatenate([value.positions.ravel() for value in values])
        if np.unique(positions).size < positions.size:
            raise OverlapError(f"Two names of the dictionary mean the same entry of {name!r}.")
