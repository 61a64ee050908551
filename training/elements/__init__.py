"""Foreground libraries: reading, checking, packing."""
