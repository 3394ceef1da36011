"""Upload clients that nobody here wrote, each behind one function: tus-js-client, Uppy, tuspy, aiotus and curl.

`package.json` names the programs from npm; `make test` installs them.
"""
