"""The wheel, what it holds, and pages that are made from the code."""
