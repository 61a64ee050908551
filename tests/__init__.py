"""Tests, and the benchmarks of the project."""
