"""Training of automatic trimaps for portraits: labels first, then end to end through the layer."""
