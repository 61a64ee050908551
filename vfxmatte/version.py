"""The version of the program, of the library and of what it writes."""

__version__ = "0.2.0"
