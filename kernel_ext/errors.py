"""Every error this package raises on purpose; see `ipydurable.runtime.core.errors`."""

from ipydurable.runtime.core.errors import *  # noqa: F403
from ipydurable.runtime.core.errors import __all__ as __all__
