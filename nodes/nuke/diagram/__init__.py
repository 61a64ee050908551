"""The node's own text, read without Nuke: for its tests and its picture in the documentation."""
