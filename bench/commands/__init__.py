"""One file a command: its one-line HELP, `add_arguments(parser)` and `main(given)`; bench/__main__.py finds it.

A file whose name begins with an underscore is none.
"""
