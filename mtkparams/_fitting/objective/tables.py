"""Tables of data as they come: dictionaries, pandas frames, CSV files, several of them."""

from __future__ import annotations

import csv
import dataclasses
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeGuard

import numpy as np

from ...errors import DataError, KindError, unknown_name


class Frame(Protocol):
    """What is read of a `pandas.DataFrame`, or of what is like one."""

    columns: Iterable[Any]

    def __getitem__(self, column: Any) -> Frame: ...
    def to_numpy(self) -> np.ndarray: ...


@dataclasses.dataclass(frozen=True, eq=False)
class Table:
    """One table: `t` of shape `(rows,)`, and columns of shape `(rows, ...)`."""

    name: str
    condition: str
    t: np.ndarray
    columns: Mapping[str, np.ndarray]


BASE = ""  # the name of the condition that changes nothing


def tables(data: object, conditions: Mapping[str, object] | None, time: str) -> tuple[Table, ...]:
    """All tables of `data` with the condition of each.

    **Arguments:**

    - `data`: one table, a list of tables, or a dictionary of those by name; with `conditions`, by
      the name of the condition.
    - `time`: the name of the column of times.
    """
    if conditions is None:
        return tuple(_table(table, name, BASE, time) for name, table in _several(data, "data"))
    if not isinstance(data, Mapping) or not _is_nest(data):
        raise KindError(
            "With conditions= the data are a dictionary {condition: table}, with a table or a list "
            "of tables for each."
        )
    all_tables = []
    for condition, several in data.items():
        if condition not in conditions:
            raise unknown_name(str(condition), map(str, conditions), "the conditions")
        all_tables += [
            _table(table, name, condition, time) for name, table in _several(several, condition)
        ]
    return tuple(all_tables)


def _several(data: object, name: str) -> list[tuple[str, object]]:
    if isinstance(data, list | tuple):
        return [(f"{name}[{i}]", table) for i, table in enumerate(data)]
    if isinstance(data, Mapping) and _is_nest(data):
        return [(str(key), table) for key, table in data.items()]
    return [(name, data)]


def _is_nest(data: Mapping[Any, object]) -> bool:
    return bool(data) and all(_is_table(table) or _is_tables(table) for table in data.values())


def _is_tables(value: object) -> bool:
    return isinstance(value, list | tuple) and bool(value) and all(map(_is_table, value))


def _is_table(value: object) -> bool:
    return isinstance(value, Mapping | str | os.PathLike) or _is_frame(value)


def _is_frame(value: object) -> TypeGuard[Frame]:
    return hasattr(value, "columns") and hasattr(value, "to_numpy")


def _table(data: object, name: str, condition: str, time: str) -> Table:
    columns = _columns(data, name)
    if time not in columns:
        error = unknown_name(time, columns, f"the columns of {name!r}")
        raise DataError(f"{error} The times of the data are a column; time= is its name.")
    t = _numbers(columns.pop(time), time, name)
    if t.ndim != 1 or not t.size:
        raise DataError(f"The times {time!r} of {name!r} are a vector, got shape {t.shape}.")
    if not np.isfinite(t).all():
        raise DataError(f"The times {time!r} of {name!r} are not all finite.")
    for column, values in columns.items():
        if np.shape(values)[:1] != t.shape:
            raise DataError(
                f"{column!r} of {name!r} has shape {np.shape(values)}, and the times are {t.size}."
            )
    return Table(name, condition, t, columns)


def _columns(data: object, name: str) -> dict[str, np.ndarray]:
    if isinstance(data, str | os.PathLike):
        return _read_csv(Path(data))
    if _is_frame(data):
        return {str(column): data[column].to_numpy() for column in data.columns}
    if isinstance(data, Mapping):
        return {str(column): np.asarray(values) for column, values in data.items()}
    raise KindError(
        f"{name!r} is a dictionary of columns, a pandas.DataFrame or the path of a CSV file, got "
        f"{type(data).__name__}."
    )


def _read_csv(path: Path) -> dict[str, np.ndarray]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.reader(file))
    if len(rows) < 2:
        raise DataError(f"{path} has no rows below its header.")
    header, *body = ([cell.strip() for cell in row] for row in rows if any(row))
    for number, row in enumerate(body, 2):
        if len(row) != len(header):
            raise DataError(
                f"Line {number} of {path} has {len(row)} cells, the header {len(header)}."
            )
    return {column: np.asarray(cells, object) for column, *cells in zip(header, *body, strict=True)}


def _numbers(values: np.ndarray, column: str, table: str) -> np.ndarray:
    """A column as floats; an empty cell or `None` is a missing value, NaN."""
    array = np.asarray(values)
    if array.dtype.kind in "OUS":
        blank = lambda x: x is None or (isinstance(x, str) and not x.strip())
        cells: list[Any] = [np.nan if blank(x) else x for x in array.ravel()]
        try:
            return np.asarray([float(x) for x in cells]).reshape(array.shape)
        except (TypeError, ValueError) as error:
            raise DataError(
                f"{column!r} of {table!r} is not a column of numbers: {error}"
            ) from error
    if array.dtype.kind not in "biuf":
        raise DataError(f"{column!r} of {table!r} is not a column of numbers: {array.dtype}.")
    return array.astype(float)


def column_of(table: Table, name: str) -> np.ndarray:
    """A column of a table as floats, shape `(rows, ...)`."""
    return _numbers(table.columns[name], name, table.name)
