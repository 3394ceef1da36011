"""Upload clients that nobody here wrote, each behind one function: tus-js-client, Uppy, tuspy, aiotus and curl.

`package.json` names the programs from npm; `make test` installs them. No client of Content-Range can be installed from a
registry: `content_range.py` is one, and `recordings` has what jQuery File Upload sends from a browser.
"""
