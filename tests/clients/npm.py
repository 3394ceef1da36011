"""npm of the wheel with Node. Its own script cannot find its modules, so Node runs the module itself.

Node trusts the certificate authorities of the system, as pip does, and not only those that it brings along.
"""

import os
import sys

from tests.clients.programs import NODE

NPM = NODE.parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"

if __name__ == "__main__":
    path = f"{NODE.parent}{os.pathsep}{os.environ.get('PATH', '')}"
    os.execve(NODE, [str(NODE), str(NPM), *sys.argv[1:]], {**os.environ, "PATH": path, "NODE_USE_SYSTEM_CA": "1"})  # noqa: S606 - no shell
