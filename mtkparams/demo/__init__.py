"""A fit from data to report: hares and lynxes of Hudson Bay. `python -m mtkparams` runs it."""

from ._data import PUBLISHED as PUBLISHED
from ._data import Pelts as Pelts
from ._data import Published as Published
from ._data import pelts as pelts
from ._fit import fit as fit
from ._model import FREE as FREE
from ._model import declare as declare
from ._model import negative_log_likelihood as negative_log_likelihood
from ._model import problem as problem
from ._model import simulate as simulate
from ._plot import plot as plot
from ._report import report as report
