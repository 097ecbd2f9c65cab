"""Reading and writing by name: specs looked up once, values alone, vectors of named values."""

from .batched import BatchedInterface as BatchedInterface
from .buffer import remake_buffer as remake_buffer
from .getters import getp as getp
from .getters import getsym as getsym
from .getters import setp as setp
from .getters import setsym as setsym
from .provider import Names as Names
from .provider import names_of as names_of
from .provider import parameters_of as parameters_of
from .provider import read_all as read_all
from .provider import written as written
from .roles import kinds as kinds
from .spec import Spec as Spec
from .spec import call as call
from .spec import filled as filled
from .spec import is_eager as is_eager
from .spec import is_name as is_name
from .spec import leaves_of as leaves_of
from .spec import takes_parameters_alone as takes_parameters_alone
from .vectors import pack as pack
from .vectors import unpack as unpack
