"""First trimaps from nothing: GrabCut, and portraits."""
