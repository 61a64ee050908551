"""Mattes through time: what neighbouring frames agree on."""
