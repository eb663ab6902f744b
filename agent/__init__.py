"""Flash POS Agent: the daemon on a till through which register software reaches the Flash loyalty platform."""

__version__ = "0.1.0"
