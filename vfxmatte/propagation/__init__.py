"""Keyframe trimaps carried through the frames between them."""
