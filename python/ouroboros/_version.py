"""The version of the package; major and minor are those of the library."""

__version__ = "0.23.0"
