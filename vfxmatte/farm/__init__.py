"""Jobs for render farms: Open Job Description and OpenCue."""
