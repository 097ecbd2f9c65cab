"""What kind of thing each name is."""

from __future__ import annotations

from .provider import names_of


def kinds(source: object) -> dict[str, str]:
    """What each name of a source is, in the order of declaration.

    **Arguments:**

    - `source`: an `mtk.System`, a problem, a parameter object or a solution.

    **Returns:** for each name, those of nested systems too, one of

    - `"parameter"`: a value that is stored, initial values (`"Initial(x)"`) among them;
    - `"bound"`: a dependent parameter, which follows from others and is never set;
    - `"unknown"`: what a solver finds;
    - `"observed"`: an expression of the others that has a name.

    !!! Example

        >>> import mtkparams as mtk
        >>> decay = mtk.System(
        ...     parameters={"k": 0.5, "half": mtk.Parameter(bind=lambda p: p.k / 2)},
        ...     unknowns={"x": 1.0},
        ...     derivatives=lambda t, u, p: {"x": -p.k * u.x},
        ... )
        >>> mtk.kinds(decay)
        {'k': 'parameter', 'half': 'bound', 'Initial(x)': 'parameter', 'x': 'unknown'}
    """
    names = names_of(source)
    return {name: names.kind(name) for name in (*names.p, *(names.states or ()))}
