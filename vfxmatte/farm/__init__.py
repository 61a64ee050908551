"""Jobs for render farms: what a scheduler is told. Loads no torch."""
