"""The small course recipe: stage 1 alone on finished photographs with their mattes.

A published student project trained it on portraits, half of them flipped or rotated, and compared
it with K-means and Gaussian mixtures; this is what it takes to make its table again.
"""
