"""Building blocks of the other packages: parallel maps, configuration, paths, devices."""
