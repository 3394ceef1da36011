"""Upload clients that nobody here wrote, each behind one function: tus-js-client, Uppy, tuspy, aiotus and curl.

`package.json` names the programs from npm; `make test` installs them. `content_range.py` is a client that was written
for these tests, and `recordings` has what jQuery File Upload sends from a browser.
"""
