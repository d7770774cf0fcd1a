"""The one place that states the version; setup.py and pyproject.toml read it, package.xml is tested against it."""

__version__ = "0.1.0"
