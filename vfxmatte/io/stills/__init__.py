"""Single picture files, EXR and all others: headers, attributes and pixels as floats."""
