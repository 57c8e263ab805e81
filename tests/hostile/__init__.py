"""Files that mean harm, made by scripts and stored nowhere, and what the converter makes of them."""
