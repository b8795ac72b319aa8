"""xlabel inside other frameworks: a module each, which imports its framework and is imported by nobody."""
