"""The alpha prior: a first matte from colours alone, which the network is shown."""
