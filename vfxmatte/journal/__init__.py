"""The record of an output folder: which frame was made from what, by whom, and when."""
