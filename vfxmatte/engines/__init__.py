"""Engines: anything that turns frames and trimaps into mattes."""
