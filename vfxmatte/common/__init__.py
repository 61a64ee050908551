"""What the other packages build on: ordered parallel maps, configuration, device names."""
