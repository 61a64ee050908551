"""Fitting a light network to one shot: its keyframes are the examples, its other frames the use."""
