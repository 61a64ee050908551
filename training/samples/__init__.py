"""Training samples: composites with trimaps, made on the device."""
