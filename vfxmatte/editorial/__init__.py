"""Cuts read with OpenTimelineIO: their shots, the frames of each, and their mattes."""
