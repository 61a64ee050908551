"""Cuts as OpenTimelineIO has them: their shots, the frames of each, and their mattes."""
