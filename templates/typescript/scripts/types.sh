# `npm run types`: writes the types of the handlers for a Lua editor.
set -eu

optional=
if [ "${1:-}" = --if-possible ]; then
    optional=yes
    shift
fi
if ! command -v nffi > /dev/null; then
    [ -z "$optional" ] || exit 0
    echo 'npm run types needs nffi, which is not on the PATH. Copy its packed file to this directory
(`npm pack` in a clone of nffi makes it), then run: npm install --global ./nffi-*.tgz' >&2
    exit 1
fi
# in `npm run dev`, types that cannot be written do not keep the code from being loaded
nffi types src/handlers.ts --output lua/handlers.d.lua "$@" || [ -n "$optional" ]
