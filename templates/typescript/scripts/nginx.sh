# `npm start`, `npm stop` and `npm run dev`: runs nffi-nginx of the product that this project uses.
set -eu

product=${NFFI_PREFIX:-.nffi/openresty}
nginx=$product/nffi/bin/nffi-nginx
action=$1
shift

fail() {
    echo "$1" >&2
    exit 1
}

[ -x "$nginx" ] || fail "no OpenResty in $product: run \`nffi build\` here, or link a build:
mkdir -p .nffi && ln -sfn /path/of/a/build .nffi/openresty"

case $action in
    start) [ -d dist ] || fail 'nothing is built: run `npm run build`' ;;
    dev) set -- "$@" -- sh -c 'tsc --noEmitOnError && sh scripts/types.sh --if-possible' ;;
esac
exec "$nginx" "$action" "$@"
