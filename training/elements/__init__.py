"""A foreground library: read, checked, packed."""
