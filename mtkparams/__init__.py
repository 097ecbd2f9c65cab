"""Parameters for differential-equation models in JAX: named outside, flat inside, each in its role."""

from . import errors as errors
from . import io as io
from .model import Parameter as Parameter
from .model import parameters as parameters
from .parameters import Caches as Caches
from .parameters import Constants as Constants
from .parameters import Discrete as Discrete
from .parameters import Initial as Initial
from .parameters import Initials as Initials
from .parameters import MTKParameters as MTKParameters
from .parameters import Nonnumeric as Nonnumeric
from .parameters import Portion as Portion
from .parameters import Tunable as Tunable
from .parameters import View as View
from .parameters import bounds as bounds
from .parameters import canonicalize as canonicalize
from .parameters import combine as combine
from .parameters import describe as describe
from .parameters import filter_spec as filter_spec
from .parameters import from_unconstrained as from_unconstrained
from .parameters import hasportion as hasportion
from .parameters import labels as labels
from .parameters import param_labels as param_labels
from .parameters import partition as partition
from .parameters import replace as replace
from .parameters import to_unconstrained as to_unconstrained

__version__ = "0.1.0"  # the same as in pyproject.toml; a test compares them
