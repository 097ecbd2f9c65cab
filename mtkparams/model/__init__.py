"""What a modeller writes: declarations of parameters."""

from ._declare import parameters as parameters
from ._parameter import Parameter as Parameter
