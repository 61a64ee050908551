"""The course recipe: stage 1 alone on finished photographs with their mattes.

A published student project trained it on portraits, half of them flipped or rotated, and compared
it with K-means and Gaussian mixtures; this package reproduces its table.
"""
