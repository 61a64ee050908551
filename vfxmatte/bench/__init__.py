"""Benchmarks: what matting costs on this machine, measured on pictures made up for the purpose.

`scene`, `network`, `arithmetic`, `machine`, `timing` and what they import need torch and numpy
alone, no image library, so that the network can be measured on a bare GPU machine. `stages`,
`end_to_end` and `memory` read and write files as a run does. Results are one JSON record
(`record`), which `tables`, `plot` and `document` show. Nothing here is ever a timed test.
"""
