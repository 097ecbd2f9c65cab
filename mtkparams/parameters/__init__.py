"""What a parameter object is: portions, names and places, vectors out of it and back."""

from ._axes import in_axes as in_axes
from ._axes import stack as stack
from ._bounds import bounds as bounds
from ._coordinates import from_unconstrained as from_unconstrained
from ._coordinates import to_unconstrained as to_unconstrained
from ._describe import describe as describe
from ._labels import labels as labels
from ._mtkparameters import MTKParameters as MTKParameters
from ._names import Initial as Initial
from ._partition import combine as combine
from ._partition import filter_spec as filter_spec
from ._partition import param_labels as param_labels
from ._partition import partition as partition
from ._portions import Caches as Caches
from ._portions import Constants as Constants
from ._portions import Discrete as Discrete
from ._portions import Initials as Initials
from ._portions import Nonnumeric as Nonnumeric
from ._portions import Portion as Portion
from ._portions import Tunable as Tunable
from ._structure import canonicalize as canonicalize
from ._structure import hasportion as hasportion
from ._structure import replace as replace
from ._view import View as View
