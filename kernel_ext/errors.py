"""Every error this package raises on purpose; see `ipydurable.runtime.core.errors`."""

from ipydurable.runtime.core.errors import *  # noqa: F403
