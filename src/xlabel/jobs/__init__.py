"""The verbs: what a user asks for, each a function that returns a report."""
