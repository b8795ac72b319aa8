"""Pages in a browser: what serves them, and who may ask. Their files are in `static`."""
