"""Learning it: objectives, fits, many starts, uncertainties, reports."""

from ._drive import Status as Status
from ._fit import fit as fit
from ._fit import least_squares as least_squares
from ._fit import minimise as minimise
from ._noise import LogNormal as LogNormal
from ._noise import Normal as Normal
from ._objective import Objective as Objective
from ._objective import objective as objective
from ._result import FitResult as FitResult
