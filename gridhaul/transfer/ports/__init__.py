"""The ports: everything that the journeys and the api need of the world outside this process.

The words are those of `docs/glossary.md`. Each module holds the ports of one subject, split by who uses them. A class
that implements a port inherits nothing: it has the port's methods, and passes the port's contract suite in
`tests/contracts`, as its memory twin does.

Every port fails with errors of `transfer.errors` alone. A port of stored records raises DatabaseUnavailable when the
database does not answer as it should. The call may have taken effect all the same, so every call that changes something
can be repeated with the same result, unless its docstring says otherwise.
"""
