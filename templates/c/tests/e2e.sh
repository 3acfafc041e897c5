#!/bin/sh
# The runtimes through a real nginx, on a free port. `make e2e` passes the path
# of nffi-nginx, which starts and stops it.
set -u

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkfifo "$folder/stdin"

# nginx ends when descriptor 3 is closed: with this script, however that ends
"$1" run < "$folder/stdin" > "$folder/address" &
nginx=$!
exec 3> "$folder/stdin"
tries=400
until [ -s "$folder/address" ]; do
    tries=$((tries - 1))
    if [ $tries -eq 0 ] || ! kill -0 $nginx 2> /dev/null; then
        echo "not ok - nginx does not start"
        exit 1
    fi
    sleep 0.05
done
address=$(cat "$folder/address")
failed=0

get() { curl --silent --max-time 30 "$address$1"; }

expect() {
    if [ "$2" = "$3" ]; then
        echo "ok - $1"
    else
        printf 'not ok - %s\n# expected: %s\n# got: %s\n' "$1" "$3" "$2"
        failed=1
    fi
}

expect "GET /hello answers" "$(get '/hello?name=Ada')" "hello Ada"
# the client learns the status alone, the log has the reason and the request
status=$(curl --silent --max-time 30 --output "$folder/body" --write-out '%{http_code}' \
    "$address/hello?name=%20")
expect "an error of a method is a 500" "$status" 500
expect "the client does not see its reason" "$(grep -c 'name is empty' "$folder/body")" 0
expect "which is in error.log" "$(grep -c 'the name is empty (runtime_error).* request: "GET /hello' \
    run-test/logs/error.log)" 1
expect "GET /primes counts" "$(get '/primes?below=100000')" "9592"
expect "GET /wait waits" "$(get '/wait?ms=50')" "waited 50 ms"
expect "GET /ticks streams" "$(get '/ticks?ms=1&count=20' | tail -n 1)" "tick 20"

# neither what computes nor what waits holds up another call
curl --silent "$address/primes?below=100000000" > "$folder/primes" 3>&- &
primes=$!
curl --silent "$address/wait?ms=30000" > "$folder/wait" 3>&- &
wait=$!
expect "a slow call does not delay others" "$(get '/hello?name=Ada')" "hello Ada"
expect "and has not ended by then" "$(cat "$folder/primes" "$folder/wait")" ""
kill $primes $wait

exec 3>&-
wait $nginx || failed=1
if [ $failed -ne 0 ]; then
    echo "# run-test/logs/error.log:"
    cat run-test/logs/error.log
fi
exit $failed
