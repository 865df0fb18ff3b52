"""Every error this package raises on purpose; see `ipydurable.runtime.core.errors`."""

from ipydurable.runtime.core import errors as _errors
from ipydurable.runtime.core.errors import *  # noqa: F403

__all__ = _errors.__all__
